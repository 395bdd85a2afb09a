"""Notifications: one message, several, or a hundred thousand; each delivered by a job that claims it before it calls."""

from tasks.notifications.batches import deliver_batch
from tasks.notifications.broadcasts import fan_out
from tasks.notifications.delivery import deliver
from tasks.notifications.previews import preview
from tasks.notifications.reports import take_report
from tasks.notifications.sending import send

__all__ = ["deliver", "deliver_batch", "fan_out", "preview", "send", "take_report"]

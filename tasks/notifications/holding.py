"""Messages of a broadcast in quiet hours: each gets a job that begins when those end, because waiting is what jobs are good at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from jobs.context import JobContext
from tasks.notifications.journal import Due
from tasks.notifications.planning import Range

_SAID = ("subject", "text", "html", "template", "template_version", "data", "locale", "category", "critical")


def hold(context: JobContext, batch: Range, held: Sequence[tuple[Due, datetime]]) -> None:
    """Submit the jobs, each once however often this is called."""
    for due, until in held:
        if batch.asked["channel"] == "push":
            _hold_push(context, batch, due, until)
        else:
            _hold_message(context, batch, due, until)


def _hold_message(context: JobContext, batch: Range, due: Due, until: datetime) -> None:
    message = {
        **{name: batch.asked[name] for name in _SAID}, "channel": batch.asked["channel"], "to": due.address,
        "recipient_id": str(due.recipient.id), "notification_id": str(batch.broadcast_id),
        "message_id": str(due.message_id),
    }  # fmt: skip
    context.submit("notification.deliver", message, key=f"held:{due.message_id}", run_at=until)


def _hold_push(context: JobContext, batch: Range, due: Due, until: datetime) -> None:
    """A push message goes to all devices of its person, as a batch's does and that of a `notification.deliver` does not."""
    person = due.recipient.id
    alone = {
        "broadcast_id": str(batch.broadcast_id), "after": str(UUID(int=person.int - 1)), "through": str(person), "held": True,
    }  # fmt: skip
    context.submit("notification.batch", alone, key=f"held:{due.message_id}:{until.isoformat()}", run_at=until)

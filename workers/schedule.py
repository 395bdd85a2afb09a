"""What beat ticks and how often. Light on purpose: beat itself loads no handler and no database."""

from __future__ import annotations

from celery import Celery

from config.settings import Settings
from jobs.transport import TICK_QUEUE

BILLING_TICK = "tick.billing"
BACKUP_TICK = "tick.backups"
BACKUP_SECONDS = 300.0
"""How often beat looks for tenants whose last backup is too old."""


def schedule(app: Celery, settings: Settings) -> None:
    """Put the ticks into the application's beat schedule. One that finds no worker in time is left to the next."""
    app.conf.beat_schedule = {
        BILLING_TICK: {
            "task": BILLING_TICK,
            "schedule": settings.billing_tick_seconds,
            "options": {"queue": TICK_QUEUE, "expires": max(settings.billing_tick_seconds, 10.0)},
        }
    }
    if settings.backup_hours > 0:
        seconds = min(BACKUP_SECONDS, settings.backup_hours * 3600)
        app.conf.beat_schedule[BACKUP_TICK] = {
            "task": BACKUP_TICK,
            "schedule": seconds,
            "options": {"queue": TICK_QUEUE, "expires": max(seconds, 10.0)},
        }
    app.conf.beat_max_loop_interval = min(5.0, settings.billing_tick_seconds)

"""What beat ticks and how often. Light on purpose: beat itself loads no handler and no database."""

from __future__ import annotations

from celery import Celery

from config.settings import Settings
from jobs.transport import TICK_QUEUE

BILLING_TICK = "tick.billing"
USAGE_TICK = "tick.usage"
SWEEP_TICK = "tick.sweep"
CALLS_TICK = "tick.calls"
USAGE_SECONDS = 60.0
SWEEP_SECONDS = 3600.0
BACKUP_TICK = "tick.backups"
BACKUP_SECONDS = 300.0
"""How often beat looks for tenants whose last backup is too old."""


PLATFORM_BACKUP_TICK = "tick.platform_backups"


def schedule(app: Celery, settings: Settings) -> None:
    """Put the ticks into the application's beat schedule. One that finds no worker in time is left to the next."""
    app.conf.beat_schedule = {
        BILLING_TICK: {
            "task": BILLING_TICK,
            "schedule": settings.billing_tick_seconds,
            "options": {"queue": TICK_QUEUE, "expires": max(settings.billing_tick_seconds, 10.0)},
        },
        USAGE_TICK: {
            "task": USAGE_TICK,
            "schedule": USAGE_SECONDS,
            "options": {"queue": TICK_QUEUE, "expires": USAGE_SECONDS},
        },
        SWEEP_TICK: {
            "task": SWEEP_TICK,
            "schedule": SWEEP_SECONDS,
            "options": {"queue": TICK_QUEUE, "expires": SWEEP_SECONDS},
        },
        CALLS_TICK: {
            "task": CALLS_TICK,
            "schedule": SWEEP_SECONDS,
            "options": {"queue": TICK_QUEUE, "expires": SWEEP_SECONDS},
        },
    }
    if settings.backup_hours > 0:
        seconds = min(BACKUP_SECONDS, settings.backup_hours * 3600)
        app.conf.beat_schedule[BACKUP_TICK] = {
            "task": BACKUP_TICK,
            "schedule": seconds,
            "options": {"queue": TICK_QUEUE, "expires": max(seconds, 10.0)},
        }
    if settings.platform_backup_hours > 0:
        seconds = min(BACKUP_SECONDS, settings.platform_backup_hours * 3600)
        app.conf.beat_schedule[PLATFORM_BACKUP_TICK] = {
            "task": PLATFORM_BACKUP_TICK,
            "schedule": seconds,
            "options": {"queue": TICK_QUEUE, "expires": max(seconds, 10.0)},
        }
    app.conf.beat_max_loop_interval = min(5.0, settings.billing_tick_seconds)

"""When a client may ask for a job to run."""

from __future__ import annotations

from datetime import datetime, timedelta

TOLERANCE = timedelta(minutes=1)
"""How far back `run_at` may lie and mean now: clocks differ, and requests take time."""


def is_past(run_at: datetime | None, now: datetime) -> bool:
    """Whether that moment lies so far back that it must be a mistake. None, for at once, never does."""
    return run_at is not None and run_at < now - TOLERANCE

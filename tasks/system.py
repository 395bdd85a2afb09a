"""The platform's own kinds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from jobs.context import JobContext
from jobs.handlers import handles

_STEP = 0.5
"""Seconds between two words on progress."""


@handles("system.ping")
def ping(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the message back, after as long as was asked; stops early for a cancel."""
    total = int(payload["seconds"] * 1000)
    ends_at = time.monotonic() + payload["seconds"]
    while (left := ends_at - time.monotonic()) > 0:
        context.progress(max(0, total - int(left * 1000)), total, "waiting")
        context.wait(min(_STEP, left))
    context.progress(total, total, "done")
    return {"message": payload["message"]}

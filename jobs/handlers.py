"""Binds handlers to kinds: `@handles("noun.verb")` on a function of `tasks/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobs.context import JobContext
from jobs.kinds import KINDS

Handler = Callable[[JobContext, Mapping[str, Any]], Mapping[str, Any] | None]
"""Takes the context and the loaded payload, returns the result (JSON) or nothing, raises a `JobError` or a bug."""

HANDLERS: dict[str, Handler] = {}


def handles(name: str) -> Callable[[Handler], Handler]:
    """Register the function as the handler of a kind. Raises `LookupError` for an unknown kind or a second handler."""

    def register(handler: Handler) -> Handler:
        if name not in KINDS or name in HANDLERS:
            raise LookupError(f"{name} is not a kind or has a handler already")
        HANDLERS[name] = handler
        return handler

    return register

"""How long a client wants to wait: `Prefer: wait=N` and `respond-async` (RFC 7240), or `?wait=N`."""

from __future__ import annotations

import re

from flask import request

from domain.errors import FieldError, InvalidPayload

WAIT_LIMIT = 30
"""Seconds. Proxies commonly cut what is silent for 60."""

_PREFERENCE = re.compile(r"""\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*(?:=\s*"?([^",;]*)"?)?[^,]*""")


def preferences() -> dict[str, str]:
    """The preferences of the request by lower-case name; the first one of a name counts, as RFC 7240 has it."""
    found: dict[str, str] = {}
    for header in request.headers.getlist("Prefer"):
        for part in header.split(","):
            match = _PREFERENCE.fullmatch(part)
            if match:
                found.setdefault(match[1].lower(), (match[2] or "").strip())
    return found


def wants_async() -> bool:
    """Whether the client sent `Prefer: respond-async`."""
    return "respond-async" in preferences()


def wait_seconds() -> int:
    """How long to wait for a job to finish, 0 to 30 seconds; the query goes before the header.

    Raises `InvalidPayload`.
    """
    in_query = request.args.get("wait")
    pointer, text = ("/query/wait", in_query) if in_query is not None else ("/header/Prefer", preferences().get("wait"))
    if text is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,2}", text) or int(text) > WAIT_LIMIT:
        fault = FieldError(pointer, "invalid", f"Must be a number of seconds from 0 to {WAIT_LIMIT}.")
        raise InvalidPayload("The wait is invalid.", errors=(fault,))
    return int(text)

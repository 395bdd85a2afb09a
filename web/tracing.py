"""What ties a request to its logs, its jobs and the audit: the request id, the trace, and the context of the request.

A client's `X-Request-ID` is taken over if it is 1 to 128 characters of `A-Za-z0-9._-`, otherwise one is made.
`traceparent` follows W3C Trace Context.
"""

from __future__ import annotations

import re
import secrets

import structlog
from flask import Flask, Response, g, request

from domain.audit.entries import Origin
from tenancy.audit import set_origin

HEADER = "X-Request-ID"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def register(app: Flask) -> None:
    """Bind ids to each request and its logs, and return the request id. Register it before all else."""
    app.before_request(_begin)
    app.after_request(_tell)
    app.teardown_request(_end)


def request_id() -> str:
    """The id of this request, as the client chose it or as we made it."""
    found: str = g.request_id
    return found


def trace_id() -> str:
    """The trace of this request: 32 hexadecimal digits."""
    found: str = g.trace_id
    return found


def traceparent() -> str | None:
    """The client's `traceparent`, if it sent a valid one: jobs carry it on."""
    found: str | None = g.traceparent
    return found


def _begin() -> None:
    structlog.contextvars.clear_contextvars()
    parent = request.headers.get("traceparent", "")
    trace = _TRACEPARENT.fullmatch(parent)
    sent = request.headers.get(HEADER, "")
    g.traceparent = parent if trace else None
    g.trace_id = trace[1] if trace else secrets.token_hex(16)
    g.request_id = sent if _REQUEST_ID.fullmatch(sent) else g.trace_id
    request.environ["nexus.request_id"] = g.request_id  # for the access log, which is written after the context is gone
    structlog.contextvars.bind_contextvars(request_id=g.request_id, trace_id=g.trace_id)
    set_origin(Origin("anonymous", request_id=g.request_id, address=request.remote_addr))


def _tell(response: Response) -> Response:
    response.headers[HEADER] = request_id()
    return response


def _end(_error: BaseException | None) -> None:
    structlog.contextvars.clear_contextvars()

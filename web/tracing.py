"""What ties a request to its logs, its jobs and the audit: the request id, the trace, and the context of the request.

A client's `X-Request-ID` is taken over if it is 1 to 128 characters of `A-Za-z0-9._-`, otherwise one is made.
`traceparent` follows W3C Trace Context. Where spans are recorded, each request but those of watchers is one, and what it submits
comes under it; where not, what it submits comes under the client's own place in its trace.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from flask import Flask, Response, g, request

from config.telemetry import spans, trace
from domain.audit.entries import Origin
from tenancy.audit import clear_origin, set_origin

if TYPE_CHECKING:
    from config.telemetry.recording import Span

HEADER = "X-Request-ID"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
UNTRACED = frozenset({"/health", "/health/ready", "/metrics"})
"""Asked for every few seconds by whoever watches over the platform."""


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
    """This request's place in its trace: jobs carry it on."""
    return trace.traceparent()


def tell_tenant(tenant_id: UUID | None) -> None:
    """Have the access log and the span name the tenant that the request selected."""
    if tenant_id is not None:
        request.environ["nexus.tenant_id"] = str(tenant_id)


def _begin() -> None:
    structlog.contextvars.clear_contextvars()
    here = trace.parse(request.headers.get("traceparent")) or trace.begun()
    g.span = None
    if spans.is_on() and request.path not in UNTRACED:
        here = _open_span().context
    trace.enter(here)
    sent = request.headers.get(HEADER, "")
    g.trace_id = here.trace_id
    g.request_id = sent if _REQUEST_ID.fullmatch(sent) else g.trace_id
    request.environ["nexus.request_id"] = g.request_id  # for the access log, which is written after the context is gone
    request.environ["nexus.trace_id"] = g.trace_id
    structlog.contextvars.bind_contextvars(request_id=g.request_id, trace_id=g.trace_id)
    set_origin(Origin("anonymous", request_id=g.request_id, address=request.remote_addr))


def _open_span() -> Span:
    """A server's span by the semantic conventions (https://opentelemetry.io/docs/specs/semconv/http/http-spans/).

    It knows the route, not the query, which may hold secrets.
    """
    rule = request.url_rule
    known = (
        {"http.route": rule.rule, "http.request.method": request.method} if rule else {"http.request.method": "_OTHER"}
    )
    opened = g.span = spans.begin(
        f"{request.method} {rule.rule}" if rule else "HTTP",
        "server",
        parent=trace.parse(request.headers.get("traceparent")),
        attributes={**known, "url.scheme": request.scheme},
    )
    return opened


def _tell(response: Response) -> Response:
    response.headers[HEADER] = request_id()
    found: Span | None = g.span
    if found is not None:
        known: dict[str, Any] = {"http.response.status_code": response.status_code, "nexus.request_id": request_id()}
        if "nexus.tenant_id" in request.environ:
            known["nexus.tenant_id"] = request.environ["nexus.tenant_id"]
        found.set(known)
        if response.status_code >= 500:
            found.fail(str(response.status_code))
        found.end()
        g.span = None
    return response


def _end(_error: BaseException | None) -> None:
    clear_origin()
    trace.enter(None)
    structlog.contextvars.clear_contextvars()

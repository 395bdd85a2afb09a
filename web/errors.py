"""Every error as problem+json (RFC 9457): one renderer, one stable code per cause, never a stack.

`CODES` is the vocabulary, read off the classes of `domain.errors`; the OpenAPI document lists it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import sqlalchemy.exc
import structlog
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as UnknownMethod
from werkzeug.routing import RoutingException

from domain import errors as vocabulary
from domain.errors import FieldError, JobError, NexusError, ServiceUnavailable, TenantUpgrading, Transient
from web.tracing import trace_id

PROBLEM = "application/problem+json"
RETRY_SECONDS = 2
"""What `Retry-After` says when a database is away: it usually restarts within seconds."""

log = structlog.get_logger(__name__)


def _subclasses(of: type[NexusError]) -> Iterator[type[NexusError]]:
    for each in of.__subclasses__():
        if not issubclass(each, JobError) and each.__module__ == vocabulary.__name__:
            yield each
            yield from _subclasses(each)


_KNOWN: set[type[NexusError]] = {NexusError, *_subclasses(NexusError)}

CODES: dict[str, type[NexusError]] = {
    each.code: each for each in sorted(_KNOWN, key=lambda each: (each.status, each.code))
}
"""Every code that an answer of the API may carry."""

_BY_STATUS: dict[int, type[NexusError]] = {
    400: vocabulary.MalformedRequest,
    401: vocabulary.Unauthenticated,
    403: vocabulary.PermissionDenied,
    404: vocabulary.RouteNotFound,
    405: vocabulary.MethodNotAllowed,
    413: vocabulary.PayloadTooLarge,
    415: vocabulary.UnsupportedMediaType,
    422: vocabulary.InvalidPayload,
    429: vocabulary.TooManyRequests,
    503: ServiceUnavailable,
}

DATABASE_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
)
"""What a database raises that cannot be reached, restarts, or whose connections are all in use."""


def register(app: Flask) -> None:
    """Render every exception of the app."""
    app.register_error_handler(NexusError, render)
    app.register_error_handler(HTTPException, _render_http)
    for error in DATABASE_AWAY:
        app.register_error_handler(error, _render_database_away)
    app.register_error_handler(Exception, _render_bug)


def render(error: NexusError) -> Response:
    """The answer that an error of the vocabulary stands for."""
    if isinstance(error, Transient):
        # A tenant's database that is away, seen from the API: the caller can only try again. Many may ask for it at once, and
        # a stack for each would cost those who ask for something else more than the answer does.
        log.warning("request.dependency_failed", code=error.job_code, reason=_first_line(error.__cause__ or error))
        known = TenantUpgrading if error.job_code == TenantUpgrading.code else ServiceUnavailable
        error = known(error.detail, retry_after=error.retry_after or RETRY_SECONDS)
    if type(error) is NexusError or (error.status >= 500 and error.code not in CODES):
        return _render_bug(error)
    return problem(
        error.code, error.status, error.title, error.detail, errors=error.errors, retry_after=error.retry_after
    )


def problem(
    code: str,
    status: int,
    title: str,
    detail: str,
    *,
    errors: tuple[FieldError, ...] = (),
    retry_after: float | None = None,
) -> Response:
    """A problem+json answer. `retry_after` is in seconds and rounded up."""
    body = _body(code, status, title, detail, errors)
    response = Response(current_app.json.dumps(body), status=status, mimetype=PROBLEM)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="nexus"'
    if retry_after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    return response


def problem_body(error: NexusError) -> dict[str, Any]:
    """The problem that an error of the vocabulary stands for, as a part of a larger answer."""
    return _body(error.code, error.status, error.title, error.detail, error.errors)


def _body(code: str, status: int, title: str, detail: str, errors: tuple[FieldError, ...]) -> dict[str, Any]:
    return {
        "type": f"/errors/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.path,
        "code": code,
        "errors": [{"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in errors],
        "trace_id": trace_id(),
    }


def _render_http(error: HTTPException) -> Response | HTTPException:
    if isinstance(error, RoutingException) or error.code is None:
        return error
    if error.response is not None and error.code < 400:
        return error
    known = _BY_STATUS.get(error.code)
    if known is not None:
        code, title = known.code, known.title
    else:
        code, title = re.sub(r"[^a-z]+", "_", error.name.lower()).strip("_"), error.name
    detail = title
    if error.code == 404:
        detail = f"There is no route {request.path[:200]}."
    elif error.code == 413:
        detail = f"The body may have {current_app.config['MAX_CONTENT_LENGTH']} bytes at most."
    elif isinstance(error, UnknownMethod):
        detail = f"{request.method} is not one of {', '.join(sorted(error.valid_methods or ()))}."
    response = problem(code, error.code, title, detail)
    if isinstance(error, UnknownMethod) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _render_database_away(error: Exception) -> Response:
    log.warning("request.database_unreachable", error=type(error).__name__, exc_info=error)
    return render(ServiceUnavailable("The database cannot be reached; try again.", retry_after=RETRY_SECONDS))


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]


def _render_bug(error: Exception) -> Response:
    log.error("request.failed", error=type(error).__name__, exc_info=error)
    return problem(NexusError.code, NexusError.status, NexusError.title, "The failure was recorded under the trace_id.")

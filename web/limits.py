"""Rate limits: per caller, per tenant, per address for the anonymous and for whoever keeps sending bad credentials.

Counted in Redis, shared by all processes; in this process while Redis is away. Told in the header fields of
draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import math
import time
from typing import Any

from flask import Flask, Response, g, request
from flask_limiter import ApplicationLimit, Limiter, RateLimitExceeded, RequestLimit
from limits import parse
from limits.errors import StorageError

from config.settings import Settings, SettingsError
from domain.errors import TooManyRequests
from web.auth import limit_subject
from web.errors import render
from web.tenant_limits import EXTENSION, TenantLimit

EXEMPT_PATHS = frozenset({"/health", "/health/ready", "/metrics"})
"""What watches the platform is never held off."""

SIGNED_PREFIX = "/api/v1/webhooks/"
"""Providers send in bursts from a few addresses. What is not signed by them costs one hash and no query."""

_RECOGNISED_SECONDS = 300.0
_RECOGNISED_LIMIT = 10_000

_REDIS_SECONDS = 0.5
"""How long a request waits for Redis before it is counted in the process instead."""


class Recognised:
    """Callers whose credentials were good a short while ago, as this process saw it.

    They are not held off for the bad credentials of others at the same address: an office, or a proxy.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, subject: str) -> None:
        """Note a caller; when there are too many to remember, all are forgotten, and each is noted again."""
        if len(self._until) >= _RECOGNISED_LIMIT:
            self._until.clear()
        self._until[subject] = time.monotonic() + _RECOGNISED_SECONDS

    def __contains__(self, subject: object) -> bool:
        return isinstance(subject, str) and self._until.get(subject, 0.0) > time.monotonic()


class _Limiter(Limiter):
    """Asks nothing about a request that is not counted; to find that out by itself takes a tenth of what it costs to answer one."""

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        if not _is_exempt():
            super()._check_request_limit(callable_name, in_middleware)


def register(app: Flask, settings: Settings) -> Limiter:
    """Count every request before anything else of it is looked at. Raises `SettingsError` for a limit nobody can read."""
    for variable, limit in (
        ("NEXUS_RATE_LIMIT", settings.rate_limit),
        ("NEXUS_TENANT_RATE_LIMIT", settings.tenant_rate_limit),
        ("NEXUS_ANONYMOUS_RATE_LIMIT", settings.anonymous_rate_limit),
    ):
        try:
            parse(limit)
        except ValueError:
            raise SettingsError(f"{variable}: must be a limit such as 100/minute") from None

    recognised = Recognised()

    def is_beyond_suspicion() -> bool:
        return "Authorization" not in request.headers or _subject() in recognised

    def recognise(response: Response) -> Response:
        subject = _subject() if "principal" in g else None
        if subject is not None:
            recognised.add(subject)
        return response

    def limit_of_caller() -> str:
        return settings.anonymous_rate_limit if _subject() is None else settings.rate_limit

    limiter = _Limiter(
        _caller_key,
        application_limits=[
            ApplicationLimit(limit_of_caller),
            ApplicationLimit(
                settings.anonymous_rate_limit,
                key_function=_refused_key,
                exempt_when=is_beyond_suspicion,
                deduct_when=_was_refused,
            ),
        ],
        key_prefix="nexus",
        strategy="fixed-window",
        in_memory_fallback_enabled=True,
        # When Redis goes, the first request that notices turns to the process's memory; others under way, and what is
        # counted after an answer was made, pass uncounted.
        swallow_errors=True,
        fail_on_first_breach=True,
        **_storage(settings),
    )
    limiter.request_filter(_is_exempt)
    limiter.init_app(app)
    of_tenants = app.extensions[EXTENSION] = TenantLimit(limiter, parse(settings.tenant_rate_limit))
    app.register_error_handler(RateLimitExceeded, lambda _error: _refuse(limiter))
    app.after_request(recognise)
    app.after_request(lambda response: response if _is_exempt() else _tell(limiter, of_tenants, response))
    return limiter


def _storage(settings: Settings) -> dict[str, Any]:
    if settings.redis_url is None:
        return {"storage_uri": "memory://"}
    address = settings.redis_url.get_secret_value()
    if address.startswith("unix://"):
        address = f"redis+{address}"
    return {
        "storage_uri": address,
        "storage_options": {
            "socket_connect_timeout": _REDIS_SECONDS,
            "socket_timeout": _REDIS_SECONDS,
            "wrap_exceptions": True,
        },
    }


def _is_exempt() -> bool:
    if request.path in EXEMPT_PATHS or request.method == "OPTIONS":
        return True
    return request.path.startswith(SIGNED_PREFIX)


def _subject() -> str | None:
    if "limit_subject" not in g:
        g.limit_subject = limit_subject()
    found: str | None = g.limit_subject
    return found


def _caller_key() -> str:
    return _subject() or f"address:{request.remote_addr}"


def _refused_key() -> str:
    return f"refused:{request.remote_addr}"


def _was_refused(response: Response) -> bool:
    return response.status_code == 401


def _refuse(limiter: Limiter) -> Response:
    current = limiter.current_limit
    stands = None if current is None else _standing(current)
    wait = 1 if stands is None else stands[1]
    return render(TooManyRequests(f"Try again in {wait} s.", retry_after=wait))


def _tell(limiter: Limiter, of_tenants: TenantLimit, response: Response) -> Response:
    refused = of_tenants.headers()
    if refused is not None:
        response.headers.update(refused)
        return response
    current = limiter.current_limit
    stands = None if current is None else _standing(current)
    if current is not None and stands is not None:
        name = "anonymous" if _subject() is None else "caller"
        response.headers["RateLimit-Policy"] = f'"{name}";q={current.limit.amount};w={current.limit.get_expiry()}'
        response.headers["RateLimit"] = f'"{name}";r={stands[0]};t={stands[1]}'
    return response


def _standing(current: RequestLimit) -> tuple[int, int] | None:
    """Requests and seconds that are left; None if Redis has gone away since the request was counted."""
    try:
        seconds = math.ceil(current.reset_at - time.time())
    except StorageError:
        return None
    return max(0, current.remaining), max(1, min(current.limit.get_expiry(), seconds))

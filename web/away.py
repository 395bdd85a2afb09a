"""Telling a crowd that its tenant's database is away, at next to no cost for those who ask for something else.

Whoever was authenticated and told so a moment ago is told again, before anything of the request is looked at, for as long as
the process knows that the database does not answer. Only reads: what is written goes its whole way each time.
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field

from flask import Flask, Response, request

from domain.errors import ServiceUnavailable
from tenancy.failures import TenantAway
from tenancy.reach import Reach
from web.auth import TENANT_HEADERS
from web.errors import render

REMEMBERED_SECONDS = 30.0
"""After so long a caller is authenticated anew, and told what holds by then: that a key was revoked, for example."""

_MOST = 10_000


@dataclass(slots=True)
class Told:
    """Who was told what of which database, until when on the steady clock. With too many to remember, all are forgotten."""

    _entries: dict[bytes, tuple[Reach, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def again(self) -> Response | None:
        """The same answer as last time, while it still holds."""
        if not self._entries or request.method not in {"GET", "HEAD"}:
            return None
        found = self._entries.get(_who_asks_what())
        if found is None or found[1] < time.monotonic():
            return None
        retry_after = found[0].retry_after
        return None if retry_after is None else render(ServiceUnavailable(_DETAIL, retry_after=retry_after))

    def tell(self, error: TenantAway) -> Response:
        """Answer, and remember it."""
        if request.method in {"GET", "HEAD"}:
            with self._lock:
                if len(self._entries) >= _MOST:
                    self._entries.clear()
                self._entries[_who_asks_what()] = (error.reach, time.monotonic() + REMEMBERED_SECONDS)
        return render(error)


_DETAIL = "The tenant's database cannot be reached."


def register(app: Flask) -> None:
    """Register it before whatever asks Redis or PostgreSQL about a request."""
    told = Told()
    app.before_request(told.again)
    app.register_error_handler(TenantAway, told.tell)


def _who_asks_what() -> bytes:
    """The caller's credentials, which are not kept, with the tenant and the route that they ask for."""
    headers = [request.headers.get(name, "") for name in ("Authorization", *TENANT_HEADERS)]
    tenant = str((request.view_args or {}).get("tenant_id", ""))
    return hashlib.sha256("\0".join([*headers, tenant, request.endpoint or ""]).encode()).digest()

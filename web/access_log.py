"""Gunicorn's logs as our events: one per request, without its query string, which may hold secrets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

QUIET = frozenset({"/health", "/health/ready", "/metrics"})
"""Asked for every few seconds by whoever watches over the platform."""

log = structlog.get_logger("web.access")


class EventLogger(Logger):  # type: ignore[misc]
    """Hands gunicorn's own messages to the root logger, and writes `http.request` for each request."""

    def setup(self, cfg: Any) -> None:
        """Leave the handlers to `config.logging`."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    @property
    def access_log_enabled(self) -> bool:
        """Always: what is quiet is decided by level."""
        return True

    def access(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta) -> None:
        """Write the event."""
        path = environ.get("PATH_INFO", "")
        write = log.debug if path in QUIET else log.info
        write(
            "http.request",
            method=environ.get("REQUEST_METHOD"),
            path=path,
            status=int(str(resp.status).split(maxsplit=1)[0]),
            duration_ms=round(request_time.total_seconds() * 1000, 1),
            bytes=getattr(resp, "sent", None),
            address=environ.get("REMOTE_ADDR"),
            request_id=environ.get("nexus.request_id"),
            trace_id=environ.get("nexus.trace_id"),
            tenant_id=environ.get("nexus.tenant_id"),
        )

"""What one worker process holds: its tenancy, its pulse and its identity. Made anew in every forked child."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from uuid import UUID

from config.settings import Settings, current
from domain.identity.principals import Principal
from domain.ids import new_id
from jobs.hints import hints
from tenancy.access import Tenancy
from tenancy.identity.principals import permissions_of
from workers.pulse import Pulse

PRINCIPAL_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Runtime:
    """One per process. `worker_id` is the row of the Celery worker that this process belongs to."""

    settings: Settings
    tenancy: Tenancy
    pulse: Pulse
    worker_id: UUID
    _principals: dict[tuple[str, UUID], tuple[float, Principal | None]] = field(default_factory=dict)

    def principal(self, subject: str, tenant_id: UUID) -> Principal | None:
        """Who a job acts for, with today's permissions, at most seconds old; None if the account is gone."""
        if subject.startswith("system:"):
            return Principal(subject=subject, user_id=None, tenant_id=tenant_id)
        now = time.monotonic()
        known = self._principals.get((subject, tenant_id))
        if known is None or now - known[0] > PRINCIPAL_SECONDS:
            if len(self._principals) > 4096:
                self._principals.clear()
            known = (now, permissions_of(self.tenancy.platform, subject, tenant_id))
            self._principals[subject, tenant_id] = known
        return known[1]


_lock = threading.Lock()
_runtime: Runtime | None = None
_worker_id: UUID = new_id()


def runtime() -> Runtime:
    """This process's runtime, made at the first call."""
    global _runtime  # noqa: PLW0603 - one per process by nature: Celery gives tasks no other place to find it
    if _runtime is None:
        with _lock:
            if _runtime is None:
                settings = current()
                tenancy = Tenancy(settings, "engine")
                pulse = Pulse(tenancy.platform, settings.lease_seconds, _worker_id, hints=hints(settings))
                _runtime = Runtime(settings, tenancy, pulse, _worker_id)
    return _runtime


def after_fork() -> None:
    """Forget what the parent held; its sockets are not ours to close."""
    global _runtime  # noqa: PLW0603 - see `runtime`
    if _runtime is not None:
        _runtime.tenancy.dispose(close=False)
        _runtime = None


def worker_id() -> UUID:
    """The id of the Celery worker that this process belongs to; a forked child inherits it."""
    return _worker_id

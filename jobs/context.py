"""What a handler gets: its tenant's doors, its own progress, and ways to stop early. Nothing else is in reach."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString, Protocol
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from config.settings import Settings
from domain.errors import Cancelled, DeadlineExceeded, IllegalTransition, Permanent, PlanQuotaExceeded
from domain.identity.principals import Principal
from domain.jobs.families import AfterPolicy
from jobs.bulk import Related, submit_related
from jobs.submit import NewJob, child_key
from jobs.waits import Dependency, dependencies
from providers.storage import Bucket
from tenancy.access import Tenancy
from tenancy.directory import TenantRecord

_APPLY = text(
    "INSERT INTO applied_jobs (tenant_id, job_id, step) VALUES (:tenant_id, :job_id, :step) ON CONFLICT DO NOTHING"
)


class ProgressSink(Protocol):
    """Where progress goes: written by the worker at its own pace, never blocking the handler."""

    def progress(self, job_id: UUID, token: UUID, done: int, total: int | None, message: str) -> None:
        """Note the latest progress; an older one not yet written is replaced."""


@dataclass(slots=True)
class JobContext:
    """One attempt of one job. Tenant and principal come from the claimed row, never from the message."""

    job_id: UUID
    kind: str
    attempt: int
    token: UUID
    principal: Principal
    tenancy: Tenancy
    deadline: float
    sink: ProgressSink
    request_id: str | None = None
    _checkpoint: bytes | None = None
    _cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def tenant_id(self) -> UUID:
        """The job's tenant."""
        if self.principal.tenant_id is None:
            raise LookupError("a job without a tenant")
        return self.principal.tenant_id

    @property
    def tenant(self) -> TenantRecord:
        """The tenant's record, a few seconds old at most."""
        return self.tenancy.record(self.tenant_id)

    @property
    def settings(self) -> Settings:
        """The process's settings."""
        return self.tenancy.settings

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger that carries the job's ids."""
        logger: structlog.stdlib.BoundLogger = structlog.get_logger(
            job_id=str(self.job_id), tenant_id=str(self.tenant_id), kind=self.kind, attempt=self.attempt
        )
        return logger

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction in the tenant's database, as `Tenancy.session`."""
        with self.tenancy.session(self.tenant_id) as session:
            yield session

    @property
    def bucket(self) -> Bucket:
        """The tenant's objects."""
        return self.tenancy.bucket(self.tenant_id)

    def once(self, session: Session, step: str = "effect") -> bool:
        """Whether this step of this job has still to be done, claimed in the caller's own transaction.

        The claim commits with the effect or not at all, so a job that runs twice has its effect once.
        """
        parameters = {"tenant_id": self.tenant_id, "job_id": self.job_id, "step": step}
        return session.execute(_APPLY, parameters).rowcount == 1  # type: ignore[attr-defined,no-any-return]  # DML result

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Tell whoever waits how far it is. Also the place where a cancelled or late job stops."""
        self.check()
        self.sink.progress(self.job_id, self.token, done, total, message)

    def checkpoint(self, data: Mapping[str, Any]) -> None:
        """Keep `data`, sealed, for the attempt after a crash; done when this returns."""
        plain = json.dumps(data).encode()
        sealed = self.tenancy.vault(self.tenant_id).seal(plain, "jobs", "checkpoint_sealed", self.job_id)
        self.tenancy.platform.fetch(
            "UPDATE jobs SET checkpoint_sealed = %(sealed)s WHERE id = %(id)s AND token = %(token)s AND state = 'running'",
            {"sealed": sealed, "id": self.job_id, "token": self.token},
        )
        self._checkpoint = sealed

    def resumed(self) -> Mapping[str, Any]:
        """What the last `checkpoint` of an earlier attempt kept; empty on a first attempt."""
        if self._checkpoint is None:
            return {}
        plain = self.tenancy.vault(self.tenant_id).open(self._checkpoint, "jobs", "checkpoint_sealed", self.job_id)
        data: Mapping[str, Any] = json.loads(plain)
        return data

    def submit(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        key: str,
        after: Sequence[UUID] = (),
        after_policy: AfterPolicy = AfterPolicy.ALL_SUCCEEDED,
        **options: Any,
    ) -> UUID:
        """Submit a child of this job, once per `key` however often this handler runs.

        The child waits for the jobs `after`, if there are any. `options` are other fields of `NewJob`. Raises `Cancelled`
        if this job was asked to stop: its children stop with it, so it can have no more. Raises `Permanent`
        (`plan_quota_exceeded`) if the tenant's plan allows no more of it.
        """
        child = NewJob(
            kind=kind, payload=payload, principal=self.principal, parent_id=self.job_id, request_id=self.request_id,
            idempotency_key=child_key(self.job_id, key), **options,
        )  # fmt: skip
        try:
            return submit_related(self.tenancy, Related(child, tuple(after), after_policy)).id
        except IllegalTransition as error:
            raise Cancelled(error.detail) from None
        except PlanQuotaExceeded as error:
            raise Permanent(error.detail, code=error.code) from None

    def dependencies(self) -> list[Dependency]:
        """What the jobs that this one waited for came to, with their results and errors."""
        return dependencies(self.tenancy, self.tenant_id, self.job_id)

    @property
    def cancelled(self) -> bool:
        """Whether someone asked this job to stop."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise `Cancelled` or `DeadlineExceeded` when the job should stop."""
        if self.cancelled:
            raise Cancelled("The job was cancelled while it ran.")
        if time.monotonic() > self.deadline:
            raise DeadlineExceeded(f"The attempt ran past its deadline ({self.kind}).")

    def confirm(self) -> None:
        """Raise `Cancelled` unless this attempt still holds the job, for effects that no row of ours can fence."""
        query: LiteralString = "SELECT 1 FROM jobs WHERE id = %(id)s AND token = %(token)s AND state = 'running'"
        if not self.tenancy.platform.fetch(query, {"id": self.job_id, "token": self.token}):
            raise Cancelled("Another attempt of the job has taken over.")

    def wait(self, seconds: float) -> None:
        """Sleep, but stop early for a cancel or the deadline."""
        self._cancelled.wait(min(seconds, max(0.0, self.deadline - time.monotonic())))
        self.check()

    def request_cancel(self) -> None:
        """Called by the worker when the row says that the job should stop."""
        self._cancelled.set()


def draw() -> float:
    """A uniform draw in [0, 1) for jitter."""
    return random.random()  # noqa: S311 - jitter, not a secret

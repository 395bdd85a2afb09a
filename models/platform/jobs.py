"""The job row: outbox, queue, result and history in one. Redis only ever holds its id."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase

STAGE = (
    "CASE WHEN state IN ('scheduled', 'retrying') THEN 'waiting' WHEN state = 'queued' THEN 'due'"
    " WHEN state IN ('dispatched', 'running') THEN 'in_flight' ELSE 'finished' END"
)


class Job(Identified, Created, PlatformBase):
    """One durable job. Columns that end in `_sealed` open only with the tenant's data key.

    `attempt` counts the attempts that were started. `token` names the present claim: a worker whose token is no longer
    here has lost its lease and its outcome is dropped. `version` grows with every change that a client can see.

    The table has parts (`migrations/job_months.py`, decision 0012): a live job stands in `jobs_live`; the update that ends it
    moves it to its month of `jobs_finished`. The live part's indexes have predicates on `stage`, never on `state`, so that
    what a worker does between dispatch and finish changes no indexed column (PostgreSQL's HOT updates). A statement on live
    jobs names their stage, to use its index, or their states: either has it planned without the finished months. `id` is
    unique in each part.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(
            "state IN ('scheduled', 'queued', 'dispatched', 'running', 'retrying', 'succeeded', 'failed', 'cancelled')",
            name="state",
        ),
        CheckConstraint("(state = 'running') = (token IS NOT NULL)", name="token_while_running"),
        Index("ix_jobs_tenant_id_id", "tenant_id", "id"),
        Index("ix_jobs_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index("ix_jobs_replay_of", "replay_of", postgresql_where=text("replay_of IS NOT NULL")),
        {"postgresql_partition_by": "LIST (state)"},
    )

    # No foreign key: the submitter was authenticated in this tenant, and tenants are never deleted as rows, so a lock on
    # the tenant's row for each insert would buy nothing.
    tenant_id: Mapped[UUID]
    kind: Mapped[str]
    queue: Mapped[str]
    state: Mapped[str]
    stage: Mapped[str] = mapped_column(Computed(STAGE, persisted=True))
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    max_attempts: Mapped[int] = mapped_column(SmallInteger)
    deadline_seconds: Mapped[float]
    run_at: Mapped[datetime] = mapped_column(server_default=func.now())

    payload_sealed: Mapped[bytes]
    result_sealed: Mapped[bytes | None]
    error_sealed: Mapped[bytes | None]
    error_code: Mapped[str | None]
    checkpoint_sealed: Mapped[bytes | None]
    progress_done: Mapped[int | None]
    progress_total: Mapped[int | None]
    progress_message: Mapped[str | None]

    principal: Mapped[str]
    request_id: Mapped[str | None]
    traceparent: Mapped[str | None]
    idempotency_key: Mapped[str | None]
    idempotency_hash: Mapped[bytes | None]
    unique_key: Mapped[str | None]
    parent_id: Mapped[UUID | None]
    replay_of: Mapped[UUID | None]
    webhook_endpoint_id: Mapped[UUID | None]

    token: Mapped[UUID | None]
    worker_id: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(server_default="false")
    single: Mapped[bool] = mapped_column(server_default="false")
    version: Mapped[int] = mapped_column(server_default="1")

    dispatched_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class JobKey(PlatformBase):
    """Who holds an idempotency key: unique over live and finished jobs, which no index of a table in parts can be.

    Inserted by the statement that inserts the job, removed when the job's retention is over.
    """

    __tablename__ = "job_keys"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = mapped_column(index=True)

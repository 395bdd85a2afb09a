"""The job as the engine reads it back, and as a client sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

from domain.jobs.states import TERMINAL, JobState, public_state
from tenancy.vault import Vault

COLUMNS: LiteralString = """id, tenant_id, kind, queue, state, priority, attempt, max_attempts, run_at,
 result_sealed, error_sealed, error_code, progress_done, progress_total, progress_message, principal, request_id,
 idempotency_hash, unique_key, parent_id, replay_of, webhook_endpoint_id, cancel_requested, version,
 created_at, started_at, finished_at, expires_at"""

LIVE: LiteralString = "state IN ('scheduled', 'queued', 'dispatched', 'running', 'retrying')"
"""Jobs that are still to end. Named as states, so that a statement is planned on their part of the table alone."""

FINISHED: LiteralString = "state IN ('succeeded', 'failed', 'cancelled')"

PUBLIC_STATE: LiteralString = """
CASE WHEN j.state = 'dispatched' OR (j.state = 'scheduled' AND j.run_at <= now()) THEN 'queued' ELSE j.state END
"""
"""SQL for the state that clients see of the job `j`, as `domain.jobs.states.public_state`."""

KEPT: LiteralString = "(expires_at IS NULL OR expires_at > now())"
"""Jobs that can be read. A finished job past its retention is gone, whenever its row is removed."""

JobRow = Mapping[str, Any]
"""A row of `COLUMNS`."""

HELD_UNTIL = datetime(9999, 12, 31, tzinfo=UTC)
"""`run_at` of a job that waits for others. Clients see null: it has no time yet."""


def is_finished(row: JobRow) -> bool:
    """Whether the job has reached a state that it will not leave."""
    return row["state"] in TERMINAL


def state_of(row: JobRow, now: datetime | None = None) -> JobState:
    """The state that clients see."""
    return public_state(JobState(row["state"]), row["run_at"], now or datetime.now(UTC))


def result_of(row: JobRow, vault: Vault) -> Any:
    """The opened result, or None."""
    return _opened(row, "result_sealed", vault)


def error_of(row: JobRow, vault: Vault) -> dict[str, Any] | None:
    """The last failed attempt's error, with its traceback if it was a bug."""
    error: dict[str, Any] | None = _opened(row, "error_sealed", vault)
    if error is None and row["error_code"] is not None:
        return {
            "code": row["error_code"],
            "title": "The attempt failed",
            "detail": "",
            "retryable": not is_finished(row),
        }
    return error


def public(row: JobRow, vault: Vault) -> dict[str, Any]:
    """The job as `api.md` shows it, without links. A traceback is for operators and stays out."""
    progress = None
    if row["progress_done"] is not None:
        progress = {
            "done": row["progress_done"],
            "total": row["progress_total"],
            "message": row["progress_message"] or "",
        }
    error = error_of(row, vault)
    if error is not None:
        error = {key: error[key] for key in ("code", "title", "detail", "retryable")}
    return {
        "id": row["id"],
        "kind": row["kind"],
        "queue": row["queue"],
        "state": state_of(row).value,
        "attempt": row["attempt"],
        "max_attempts": row["max_attempts"],
        "progress": progress,
        "result": result_of(row, vault),
        "error": error,
        "priority": row["priority"],
        "unique_key": row["unique_key"],
        "parent_id": row["parent_id"],
        "replay_of": row["replay_of"],
        "webhook_endpoint_id": row["webhook_endpoint_id"],
        "cancel_requested": row["cancel_requested"],
        "created_at": row["created_at"],
        "run_at": None if row["run_at"] == HELD_UNTIL else row["run_at"],
        "started_at": row["started_at"],
        "finished_at": row["finished_at"],
        "expires_at": row["expires_at"],
    }


def encode_json(value: Any) -> bytes:
    """A JSON value as it is sealed: in ASCII, without spaces."""
    return _JSON.encode(value).encode()


def seal_json(value: Any, column: str, job_id: UUID, vault: Vault) -> bytes:
    """Seal a JSON value for one column of one job."""
    return vault.seal(encode_json(value), "jobs", column, job_id)


def open_json(sealed: bytes, column: str, job_id: UUID, vault: Vault) -> Any:
    """Open what `seal_json` sealed."""
    return json.loads(vault.open(sealed, "jobs", column, job_id))


def _opened(row: JobRow, column: str, vault: Vault) -> Any:
    sealed = row[column]
    return None if sealed is None else open_json(bytes(sealed), column, row["id"], vault)


def _encode(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_JSON = json.JSONEncoder(default=_encode, separators=(",", ":"))

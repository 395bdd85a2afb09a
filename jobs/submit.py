"""Submitting a job: one statement, one round trip, durable when it returns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

from marshmallow import ValidationError
from sqlalchemy.orm import Session

from config.telemetry import trace
from domain.errors import FieldError, IdempotencyMismatch, InvalidPayload, PayloadTooLarge, UniqueKeyTaken
from domain.identity.principals import Principal
from domain.ids import new_id
from jobs.hints import hints
from jobs.kinds import Kind, kind, payload_schema
from jobs.rows import COLUMNS, KEPT, LIVE, JobRow, encode_json
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tenancy.vault import Vault

PAYLOAD_LIMIT = 1_000_000
"""Bytes of a payload as JSON. What is larger belongs in the bucket, with its key in the payload."""

INTERNAL = "§"
"""Begins the idempotency keys that the platform makes. A client's are ASCII, so nobody can take one of ours."""

# One statement, so that a key is never there without its job. Without a key its first part does nothing.
INSERT: LiteralString = f"""
WITH keyed AS (
    INSERT INTO job_keys (tenant_id, key, job_id)
    SELECT %(tenant_id)s::uuid, %(idempotency_key)s::text, %(id)s::uuid WHERE %(idempotency_key)s::text IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING job_id
)
INSERT INTO jobs (id, tenant_id, kind, queue, state, priority, max_attempts, deadline_seconds, run_at, payload_sealed,
                  principal, request_id, traceparent, idempotency_key, idempotency_hash, unique_key, parent_id, replay_of,
                  webhook_endpoint_id)
SELECT %(id)s::uuid, %(tenant_id)s::uuid, %(kind)s::text, %(queue)s::text,
       CASE WHEN %(run_at)s::timestamptz > now() THEN 'scheduled' ELSE 'queued' END,
       %(priority)s::smallint, %(max_attempts)s::smallint, %(deadline_seconds)s::float8,
       coalesce(%(run_at)s::timestamptz, now()), %(payload_sealed)s::bytea, %(principal)s::text, %(request_id)s::text,
       %(traceparent)s::text, %(idempotency_key)s::text, %(idempotency_hash)s::bytea, %(unique_key)s::text,
       %(parent_id)s::uuid, %(replay_of)s::uuid, %(webhook_endpoint_id)s::uuid
 WHERE %(idempotency_key)s::text IS NULL OR EXISTS (SELECT FROM keyed)
ON CONFLICT DO NOTHING
RETURNING {COLUMNS}
"""

HOLDER: LiteralString = f"""
SELECT * FROM (
    SELECT {COLUMNS}, idempotency_key FROM jobs
     WHERE id = (SELECT job_id FROM job_keys WHERE tenant_id = %(tenant_id)s AND key = %(idempotency_key)s)
       AND tenant_id = %(tenant_id)s AND {KEPT}
    UNION ALL
    SELECT {COLUMNS}, idempotency_key FROM jobs
     WHERE tenant_id = %(tenant_id)s AND kind = %(kind)s AND unique_key = %(unique_key)s AND {LIVE}
) AS holders
 ORDER BY (idempotency_key = %(idempotency_key)s) DESC NULLS LAST
 LIMIT 1
"""

_FREE_KEYS: LiteralString = f"""
DELETE FROM job_keys k
 WHERE k.tenant_id = %(tenant_id)s AND k.key = ANY(%(keys)s::text[])
   AND NOT EXISTS (SELECT FROM jobs WHERE id = k.job_id AND {KEPT})
"""


def child_key(parent_id: UUID, key: str) -> str:
    """The idempotency key of a job's child, which is submitted once per `key`, whoever does it."""
    return f"{INTERNAL}child:{parent_id}:{key}"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A submission. `payload` is what the client sent, still to be validated by the kind's schema.

    `run_at` in the past means now. `priority` runs from -100 to 100, higher first. `unique_key` lets only one live job
    of the kind hold it; `idempotency_key` makes a repeated submission answer with the first one's job. The webhook endpoint, if
    one is named, hears of the job's end whatever it subscribes to. Without a `traceparent` it belongs to the caller's trace.
    """

    kind: str
    payload: Mapping[str, Any]
    principal: Principal
    run_at: datetime | None = None
    priority: int | None = None
    unique_key: str | None = None
    idempotency_key: str | None = None
    parent_id: UUID | None = None
    replay_of: UUID | None = None
    request_id: str | None = None
    traceparent: str | None = None
    webhook_endpoint_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job that answers a submission; `created` is false if an earlier submission made it, `replaced` is true if that
    job has taken over what this one asked.
    """

    row: JobRow
    created: bool
    replaced: bool = False

    @property
    def id(self) -> UUID:
        """The job's id."""
        job_id: UUID = self.row["id"]
        return job_id


def submit(tenancy: Tenancy, new: NewJob) -> Submitted:
    """Insert the job, or find the one that holds its idempotency key.

    Raises `UnknownKind`, `InvalidPayload`, `PayloadTooLarge`, `IdempotencyMismatch` (the key was used for another
    submission) and `UniqueKeyTaken`. The row is committed when this returns.
    """
    parameters = insert_parameters(tenancy, new)
    scope = tenant_scope(parameters["tenant_id"])
    for _ in range(3):
        rows = tenancy.platform.fetch(INSERT, parameters, scope)
        if rows:
            hints(tenancy.settings).due()
            return Submitted(rows[0], created=True)
        holders = tenancy.platform.fetch(HOLDER, parameters, scope)
        if holders:
            return answer_from(holders[0], parameters)
        # The holder of the unique key finished between the two statements, or the idempotency key outlived its job.
        free_keys(tenancy, parameters["tenant_id"], [new.idempotency_key])
    raise UniqueKeyTaken(f"The unique key {new.unique_key!r} is contended; try again.")


def insert(session: Session, tenancy: Tenancy, new: NewJob) -> None:
    """Insert the job within the caller's transaction, so that it is never there without what it belongs to, nor that without
    it. One that has an idempotency key and was submitted before is left as it is. Call `hints` after the commit.
    """
    session.connection().exec_driver_sql(INSERT, insert_parameters(tenancy, new))


def free_keys(tenancy: Tenancy, tenant_id: UUID, keys: Sequence[str | None]) -> None:
    """Free those of the idempotency keys whose job is past its retention, or was never inserted: its unique key was taken."""
    wanted = [key for key in keys if key is not None]
    if wanted:
        tenancy.platform.fetch(_FREE_KEYS, {"tenant_id": tenant_id, "keys": wanted}, tenant_scope(tenant_id))


def insert_parameters(tenancy: Tenancy, new: NewJob, vault: Vault | None = None) -> dict[str, Any]:
    """Validate a submission and make the parameters of `INSERT`, for callers that insert within their own transaction.

    `vault` is for a tenant that the same transaction makes, whose keys cannot be read yet.
    """
    declared = kind(new.kind)
    tenant_id = new.principal.tenant_id
    if tenant_id is None:
        raise LookupError("a job without a tenant")
    payload = validated(declared, new.payload)
    job_id = new_id()
    priority = declared.priority if new.priority is None else new.priority
    return {
        "id": job_id,
        "tenant_id": tenant_id,
        "kind": declared.name,
        "queue": declared.queue,
        "priority": priority,
        "max_attempts": declared.retry.max_attempts,
        "deadline_seconds": declared.deadline.total_seconds(),
        "run_at": None if new.run_at is None else new.run_at.astimezone(UTC),
        "payload_sealed": sealed_payload(payload, job_id, vault or tenancy.vault(tenant_id)),
        "principal": new.principal.subject,
        "request_id": new.request_id,
        "traceparent": new.traceparent or trace.traceparent(),
        "idempotency_key": new.idempotency_key,
        "idempotency_hash": _fingerprint(new, payload, priority) if new.idempotency_key else None,
        "unique_key": new.unique_key,
        "parent_id": new.parent_id,
        "replay_of": new.replay_of,
        "webhook_endpoint_id": new.webhook_endpoint_id,
    }


def validated(declared: Kind, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload with defaults filled in, as plain JSON. Raises `InvalidPayload` with a pointer for each fault."""
    schema = payload_schema(declared.name)
    try:
        loaded = schema.load(payload)
    except ValidationError as error:
        raise InvalidPayload(
            f"The payload does not fit the kind {declared.name}.",
            errors=tuple(field_errors(error.messages, "/payload")),
        ) from None
    plain: dict[str, Any] = schema.dump(loaded)
    return plain


def sealed_payload(payload: Mapping[str, Any], job_id: UUID, vault: Vault) -> bytes:
    """The sealed payload of one job. Raises `PayloadTooLarge`."""
    encoded = encode_json(payload)
    if len(encoded) > PAYLOAD_LIMIT:
        raise PayloadTooLarge(f"The payload has {len(encoded)} bytes; the limit is {PAYLOAD_LIMIT}.")
    return vault.seal(encoded, "jobs", "payload_sealed", job_id)


def _fingerprint(new: NewJob, payload: Mapping[str, Any], priority: int) -> bytes:
    """What a submission asks for. One that repeats an idempotency key must ask for the same."""
    asked = [new.kind, payload, new.run_at and new.run_at.isoformat(), priority, new.unique_key]
    if new.webhook_endpoint_id is not None:
        asked.append(str(new.webhook_endpoint_id))
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()


def field_errors(messages: Any, pointer: str = "") -> list[FieldError]:
    """marshmallow's nested messages as one entry per fault, each with its JSON Pointer (RFC 6901)."""
    if isinstance(messages, dict):
        return [
            error
            for key, inner in messages.items()
            for error in field_errors(inner, pointer if key == "_schema" else f"{pointer}/{_token(key)}")
        ]
    texts = messages if isinstance(messages, list) else [messages]
    return [FieldError(pointer, _code(str(text)), str(text)) for text in texts]


def _token(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


def _code(message: str) -> str:
    if message.startswith("Missing data"):
        return "required"
    return "unknown_field" if message.startswith("Unknown field") else "invalid"


def answer_from(holder: JobRow, parameters: Mapping[str, Any]) -> Submitted:
    """The answer to a submission whose key `holder` has. Raises `UniqueKeyTaken` and `IdempotencyMismatch`."""
    if parameters["idempotency_key"] is None or holder["idempotency_key"] != parameters["idempotency_key"]:
        raise UniqueKeyTaken(f"Job {holder['id']} is live and holds the unique key {parameters['unique_key']!r}.")
    if bytes(holder["idempotency_hash"]) != parameters["idempotency_hash"]:
        raise IdempotencyMismatch(
            f"The idempotency key was used for job {holder['id']} with another payload; use a fresh key."
        )
    return Submitted(holder, created=False)

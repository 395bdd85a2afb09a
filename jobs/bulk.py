"""Submitting many jobs: one INSERT for all that are valid, an answer for each, one round trip.

The round trip is one transaction. Where jobs name relatives, one before it reads who those are. Nothing about a relative
can spoil in between but that a parent finishes, so the INSERT looks at parents again, under a lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from domain.errors import FieldError, IllegalTransition, InvalidPayload, NexusError, UniqueKeyTaken
from domain.jobs.families import AfterPolicy, Relative, check_parent, unknown_relative
from jobs.families import relatives
from jobs.hints import hints
from jobs.rows import COLUMNS, HELD_UNTIL, KEPT, LIVE, JobRow
from jobs.submit import HOLDER, NewJob, Submitted, answer_from, free_keys, insert_parameters
from tenancy.access import Tenancy
from tenancy.database import tenant_scope

BULK_LIMIT = 1_000
"""Jobs in one request."""

ATTEMPTS = 3

_LOCK_PARENTS: LiteralString = """
SELECT id FROM jobs WHERE id = ANY(%(parents)s::uuid[]) AND tenant_id = %(tenant_id)s ORDER BY id FOR SHARE
"""

# In the order of the keys, so that two requests with the same keys wait for each other only one way. A key is written with
# its job, as by `jobs.submit`.
INSERT_MANY: LiteralString = f"""
WITH wanted AS MATERIALIZED (
    SELECT n.*
      FROM unnest(%(id)s::uuid[], %(tenant_id_)s::uuid[], %(kind)s::text[], %(queue)s::text[], %(priority)s::int[],
                  %(max_attempts)s::int[], %(deadline_seconds)s::float8[], %(run_at)s::timestamptz[],
                  %(payload_sealed)s::bytea[], %(principal)s::text[], %(request_id)s::text[], %(traceparent)s::text[],
                  %(idempotency_key)s::text[], %(idempotency_hash)s::bytea[], %(unique_key)s::text[], %(parent_id)s::uuid[],
                  %(replay_of)s::uuid[], %(webhook_endpoint_id)s::uuid[])
        AS n (id, tenant_id, kind, queue, priority, max_attempts, deadline_seconds, run_at, payload_sealed, principal,
              request_id, traceparent, idempotency_key, idempotency_hash, unique_key, parent_id, replay_of,
              webhook_endpoint_id)
     WHERE n.parent_id IS NULL OR n.parent_id <> ALL(%(parents)s::uuid[])
        OR EXISTS (SELECT FROM jobs WHERE id = n.parent_id AND NOT cancel_requested AND {LIVE})
     ORDER BY n.idempotency_key, n.kind, n.unique_key, n.id
), keyed AS (
    INSERT INTO job_keys (tenant_id, key, job_id)
    SELECT tenant_id, idempotency_key, id FROM wanted WHERE idempotency_key IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING job_id
)
INSERT INTO jobs (id, tenant_id, kind, queue, state, priority, max_attempts, deadline_seconds, run_at, payload_sealed,
                  principal, request_id, traceparent, idempotency_key, idempotency_hash, unique_key, parent_id, replay_of,
                  webhook_endpoint_id)
SELECT n.id, n.tenant_id, n.kind, n.queue, CASE WHEN n.run_at > now() THEN 'scheduled' ELSE 'queued' END, n.priority,
       n.max_attempts, n.deadline_seconds, coalesce(n.run_at, now()), n.payload_sealed, n.principal, n.request_id,
       n.traceparent, n.idempotency_key, n.idempotency_hash, n.unique_key, n.parent_id, n.replay_of,
       n.webhook_endpoint_id
  FROM wanted n
 WHERE n.idempotency_key IS NULL OR n.id IN (SELECT job_id FROM keyed)
ON CONFLICT DO NOTHING
RETURNING {COLUMNS}
"""

_WAIT: LiteralString = """
INSERT INTO job_waits (job_id, tenant_id, policy, run_at, remaining)
SELECT n.id, %(tenant_id)s, n.policy, n.run_at, n.remaining
  FROM unnest(%(ids)s::uuid[], %(policies)s::text[], %(run_at)s::timestamptz[], %(remaining)s::int[])
    AS n (id, policy, run_at, remaining)
  JOIN jobs j ON j.id = n.id
"""

_DEPEND: LiteralString = """
INSERT INTO job_dependencies (job_id, depends_on, tenant_id)
SELECT n.job_id, n.depends_on, %(tenant_id)s
  FROM unnest(%(jobs)s::uuid[], %(after)s::uuid[]) AS n (job_id, depends_on) JOIN jobs j ON j.id = n.job_id
"""

_HOLDERS: LiteralString = f"""
SELECT n.id AS refused, h.*
  FROM unnest(%(id)s::uuid[], %(kind)s::text[], %(idempotency_key)s::text[], %(unique_key)s::text[])
    AS n (id, kind, idempotency_key, unique_key)
 CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT {COLUMNS}, idempotency_key FROM jobs
         WHERE id = (SELECT job_id FROM job_keys WHERE tenant_id = %(tenant_id)s AND key = n.idempotency_key)
           AND tenant_id = %(tenant_id)s AND {KEPT}
        UNION ALL
        SELECT {COLUMNS}, idempotency_key FROM jobs
         WHERE tenant_id = %(tenant_id)s AND kind = n.kind AND unique_key = n.unique_key AND {LIVE}
    ) AS holders
     ORDER BY (holders.idempotency_key = n.idempotency_key) DESC NULLS LAST LIMIT 1) h
 WHERE (n.idempotency_key IS NOT NULL OR n.unique_key IS NOT NULL) AND NOT EXISTS (SELECT FROM jobs i WHERE i.id = n.id)
"""


@dataclass(frozen=True, slots=True)
class Related:
    """A submission whose relatives a client or a handler named: its parent (`new.parent_id`) must be live, and it waits
    for the jobs `after`. A bare `NewJob` with a parent is taken as it is.
    """

    new: NewJob
    after: tuple[UUID, ...] = ()
    after_policy: AfterPolicy = AfterPolicy.ALL_SUCCEEDED


Answer = Submitted | NexusError
"""What became of one submission: the job, or why there is none."""


def submit_many(tenancy: Tenancy, submissions: Sequence[NewJob | Related]) -> list[Answer]:
    """Submit jobs of one tenant, each by itself: the answers stand in the same order, and an error stops only its own.

    All rows are committed when this returns. The errors are those of `submit`, of `check_parent`, and `InvalidPayload`
    for an unknown job in `after`.
    """
    wanted = [each if isinstance(each, Related) else Related(each) for each in submissions]
    if not wanted:
        return []
    tenant_id = _tenant_of(wanted)
    checked = {each.new.parent_id for each in submissions if isinstance(each, Related) and each.new.parent_id}
    named = checked.union(*(each.after for each in wanted))
    known = relatives(tenancy, tenant_id, named) if named else {}
    answers: list[Answer | None] = [None] * len(wanted)
    open_: dict[int, tuple[Related, dict[str, Any]]] = {}
    for place, each in enumerate(wanted):
        try:
            _check_relatives(each, known, checked)
            open_[place] = (each, _parameters(tenancy, each))
        except NexusError as error:
            answers[place] = error
    for _ in range(ATTEMPTS):
        if not open_:
            break
        found = _insert(tenancy, tenant_id, list(open_.values()), checked)
        for place, (each, parameters) in list(open_.items()):
            answer = _answer(each.new, parameters, found)
            if answer is not None:
                answers[place] = answer
                del open_[place]
        free_keys(tenancy, tenant_id, [parameters["idempotency_key"] for _, parameters in open_.values()])
    for place, (each, _) in open_.items():
        answers[place] = _still_refused(tenancy, tenant_id, each, checked)
    if any(isinstance(answer, Submitted) and answer.created for answer in answers):
        hints(tenancy.settings).due()
    return [answer for answer in answers if answer is not None]


def submit_related(tenancy: Tenancy, related: Related) -> Submitted:
    """One job with relatives; raises what `submit_many` answers with."""
    (answer,) = submit_many(tenancy, [related])
    if isinstance(answer, NexusError):
        raise answer
    return answer


def submitted_before(tenancy: Tenancy, submission: NewJob | Related) -> Submitted:
    """The job that an earlier submission with the same idempotency key made, for one whose `run_at` has passed by now.

    Raises `InvalidPayload` at `/run_at` if there is none, and `IdempotencyMismatch`.
    """
    each = submission if isinstance(submission, Related) else Related(submission)
    parameters = _parameters(tenancy, each)
    holders = tenancy.platform.fetch(HOLDER, parameters, tenant_scope(parameters["tenant_id"]))
    if each.new.idempotency_key is None or not holders or holders[0]["idempotency_key"] != each.new.idempotency_key:
        fault = FieldError("/run_at", "in_the_past", "Must not lie in the past; leave it out to run at once.")
        raise InvalidPayload("The job would have run already.", errors=(fault,))
    return answer_from(holders[0], parameters)


def _tenant_of(wanted: Sequence[Related]) -> UUID:
    tenants = {each.new.principal.tenant_id for each in wanted}
    tenant_id = tenants.pop()
    if tenant_id is None or tenants:
        raise LookupError("jobs of no tenant, or of several")
    return tenant_id


def _check_relatives(each: Related, known: Mapping[UUID, Relative], checked: set[UUID]) -> None:
    if each.new.parent_id in checked:
        check_parent(each.new.parent_id, known.get(each.new.parent_id))
    for place, job_id in enumerate(each.after):
        if job_id not in known:
            raise unknown_relative(f"/after/{place}", job_id)


def _parameters(tenancy: Tenancy, each: Related) -> dict[str, Any]:
    """As for a single INSERT; a job that waits for others is held, and its relatives are part of what was asked."""
    parameters = insert_parameters(tenancy, each.new)
    if each.after:
        parameters["asked_run_at"], parameters["run_at"] = parameters["run_at"], HELD_UNTIL
        if parameters["idempotency_hash"] is not None:
            asked = ",".join([each.after_policy.value, *sorted(map(str, each.after))])
            parameters["idempotency_hash"] = hashlib.sha256(parameters["idempotency_hash"] + asked.encode()).digest()
    return parameters


def _insert(
    tenancy: Tenancy, tenant_id: UUID, items: Sequence[tuple[Related, dict[str, Any]]], parents: set[UUID]
) -> dict[UUID, JobRow]:
    """One attempt for all: rows that are there now by the id that was to be, the job's own or its key's holder."""
    rows = [parameters for _, parameters in items]
    columns = columns_of(rows, tenant_id, parents)
    statements: list[tuple[LiteralString, Mapping[str, Any]]] = []
    if parents:
        statements.append((_LOCK_PARENTS, columns))
    at = len(statements)
    statements.append((INSERT_MANY, columns))
    waiting = [(each, parameters) for each, parameters in items if each.after]
    if waiting:
        statements.extend(_hold(tenant_id, waiting))
    if any(columns["idempotency_key"]) or any(columns["unique_key"]):
        statements.append((_HOLDERS, columns))
    results = tenancy.platform.fetch_many(statements, tenant_scope(tenant_id))
    return {row["id"]: row for row in results[at]} | {row["refused"]: row for row in results[-1] if "refused" in row}


def columns_of(rows: Sequence[Mapping[str, Any]], tenant_id: UUID, parents: Collection[UUID]) -> dict[str, Any]:
    """The parameters of `INSERT_MANY` for rows of `insert_parameters`. Children of `parents` are inserted if those are live."""
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "asked_run_at"}
    return {**columns, "tenant_id_": columns["tenant_id"], "tenant_id": tenant_id, "parents": sorted(parents)}


def _hold(
    tenant_id: UUID, waiting: Sequence[tuple[Related, dict[str, Any]]]
) -> list[tuple[LiteralString, Mapping[str, Any]]]:
    pairs = [(parameters["id"], job_id) for each, parameters in waiting for job_id in dict.fromkeys(each.after)]
    wait = {
        "tenant_id": tenant_id,
        "ids": [parameters["id"] for _, parameters in waiting],
        "policies": [each.after_policy.value for each, _ in waiting],
        "run_at": [parameters["asked_run_at"] for _, parameters in waiting],
        "remaining": [len(set(each.after)) for each, _ in waiting],
    }
    depend = {"tenant_id": tenant_id, "jobs": [pair[0] for pair in pairs], "after": [pair[1] for pair in pairs]}
    return [(_WAIT, wait), (_DEPEND, depend)]


def _answer(new: NewJob, parameters: Mapping[str, Any], found: Mapping[UUID, JobRow]) -> Answer | None:
    row = found.get(parameters["id"])
    if row is None:
        return None  # the parent has finished, or the holder of the key has, between two statements
    if row["id"] == parameters["id"]:
        return Submitted(row, created=True)
    try:
        return answer_from(row, parameters)
    except NexusError as error:
        return error


def _still_refused(tenancy: Tenancy, tenant_id: UUID, each: Related, checked: set[UUID]) -> NexusError:
    parent_id = each.new.parent_id
    if parent_id is not None and parent_id in checked:
        try:
            check_parent(parent_id, relatives(tenancy, tenant_id, {parent_id}).get(parent_id))
        except NexusError as error:
            return error
        return IllegalTransition(f"Job {parent_id} can have no more children at present; try again.")
    return UniqueKeyTaken(f"The unique key {each.new.unique_key!r} is contended; try again.")

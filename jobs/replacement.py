"""Submitting with a unique key where the last one counts: a job that still waits takes over what is asked now.

Only a job that no handler has begun is replaced. What a handler did under the job's id, in a database or at a provider, is
done once per id, so what came later under the same id would be taken for done.
"""

from __future__ import annotations

from typing import Any, LiteralString
from uuid import UUID

from domain.errors import UniqueKeyTaken
from jobs.hints import hints
from jobs.kinds import kind
from jobs.rows import COLUMNS, HELD_UNTIL
from jobs.submit import HOLDER, INSERT, NewJob, Submitted, insert_parameters, sealed_payload, validated
from tenancy.access import Tenancy
from tenancy.database import tenant_scope

ATTEMPTS = 5

_REPLACE: LiteralString = f"""
UPDATE jobs
   SET payload_sealed = %(payload_sealed)s, priority = %(priority)s, run_at = coalesce(%(run_at)s, now()),
       state = CASE WHEN %(run_at)s::timestamptz > now() THEN 'scheduled' ELSE 'queued' END,
       principal = %(principal)s, request_id = %(request_id)s, traceparent = %(traceparent)s,
       webhook_endpoint_id = %(webhook_endpoint_id)s, version = version + 1
 WHERE id = %(holder)s AND tenant_id = %(tenant_id)s AND unique_key = %(unique_key)s
   AND state IN ('scheduled', 'queued') AND attempt = 0 AND run_at <> %(held)s
RETURNING {COLUMNS}
"""


def submit_or_replace(tenancy: Tenancy, new: NewJob) -> Submitted:
    """Submit a job with a unique key; if a job that has not begun holds it, that one gets the payload, time, priority,
    principal and webhook endpoint of this submission, keeps its id and grows its version.

    Raises as `submit`, and `UniqueKeyTaken` if the holder is on its way to a worker, runs, has begun before or waits for
    other jobs.
    """
    parameters = insert_parameters(tenancy, new)
    tenant_id: UUID = parameters["tenant_id"]
    for _ in range(ATTEMPTS):
        inserted, holders = tenancy.platform.fetch_many(
            [(INSERT, parameters), (HOLDER, parameters)], tenant_scope(tenant_id)
        )
        if inserted:
            hints(tenancy.settings).due()
            return Submitted(inserted[0], created=True)
        if not holders:
            continue  # it finished between the two statements: the key is free now
        changed = tenancy.platform.fetch(
            _REPLACE, _for_holder(tenancy, new, parameters, holders[0]["id"]), tenant_scope(tenant_id)
        )
        if changed:
            hints(tenancy.settings).due()
            hints(tenancy.settings).changed([changed[0]["id"]])
            return Submitted(changed[0], created=False, replaced=True)
        if holders[0]["state"] not in {"scheduled", "queued"} or holders[0]["attempt"] or _is_held(holders[0]):
            raise UniqueKeyTaken(
                f"Job {holders[0]['id']} holds the unique key {new.unique_key!r} and can no longer be replaced."
            )
    raise UniqueKeyTaken(f"The unique key {new.unique_key!r} is contended; try again.")


def _for_holder(tenancy: Tenancy, new: NewJob, parameters: dict[str, Any], holder: UUID) -> dict[str, Any]:
    """The payload is sealed for the id of its row, which is the holder's."""
    payload = validated(kind(new.kind), new.payload)
    sealed = sealed_payload(payload, holder, tenancy.vault(parameters["tenant_id"]))
    return {**parameters, "payload_sealed": sealed, "holder": holder, "held": HELD_UNTIL}


def _is_held(row: Any) -> bool:
    return bool(row["run_at"] == HELD_UNTIL)

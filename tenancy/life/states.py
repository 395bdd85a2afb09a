"""The changes that only turn a tenant's state: suspended and back, deleted with a grace and back."""

from __future__ import annotations

from typing import LiteralString

from domain.errors import Permanent
from domain.tenants.states import begins
from tenancy.holding import Hold

_SUSPEND: LiteralString = """
UPDATE tenants SET state = 'suspended', version = version + 1 WHERE id = %(id)s AND state = ANY(%(begins)s)
RETURNING version
"""
_RESUME: LiteralString = """
UPDATE tenants SET state = 'active', version = version + 1, settings = settings - 'failure'
 WHERE id = %(id)s AND state = ANY(%(begins)s) AND dsn_sealed IS NOT NULL AND settings -> 'half_restored' IS NULL
RETURNING version
"""
_DELETE: LiteralString = """
UPDATE tenants SET state = 'deleting', version = version + 1, transition = jsonb_build_object('from', state, 'by', %(by)s::text),
       erase_at = now() + make_interval(secs => %(grace)s)
 WHERE id = %(id)s AND state = ANY(%(begins)s) AND NOT is_operator
RETURNING version
"""
_UNDELETE: LiteralString = """
UPDATE tenants SET state = transition ->> 'from', version = version + 1, transition = NULL, erase_at = NULL
 WHERE id = %(id)s AND state = ANY(%(begins)s) AND transition -> 'erasing' IS NULL
RETURNING version
"""


def suspend(hold: Hold) -> None:
    """Let nobody work in the tenant; its jobs wait. Raises `Permanent` (`illegal_transition`) unless it is active."""
    _turn(
        hold, "suspend", "suspended", hold.take(_SUSPEND, noting="tenant.suspended", begins=sorted(begins("suspend")))
    )


def resume(hold: Hold) -> None:
    """Back to work. Raises `Permanent` (`illegal_transition`) unless it is suspended and its data is whole."""
    _turn(hold, "resume", "active", hold.take(_RESUME, noting="tenant.resumed", begins=sorted(begins("resume"))))


def delete(hold: Hold, grace_seconds: float, by: str) -> None:
    """Close the tenant, to be erased after the grace. Raises `Permanent` (`illegal_transition`), also for the operator's."""
    taken = hold.take(_DELETE, noting="tenant.deleted", begins=sorted(begins("delete")), grace=grace_seconds, by=by)
    _turn(hold, "delete", "deleting", taken)


def undelete(hold: Hold) -> None:
    """Back to what it was. Raises `Permanent` (`illegal_transition`) once its erasure has begun."""
    if not hold.take(_UNDELETE, noting="tenant.undeleted", begins=sorted(begins("undelete"))):
        record = hold.tenancy.record(hold.tenant_id)
        if record.state not in {"active", "suspended", "failed"}:
            raise _refused("undelete", record.state)


def _turn(hold: Hold, name: str, ends: str, taken: bool) -> None:
    """An earlier attempt may have turned it and died before it could say so."""
    state = hold.tenancy.record(hold.tenant_id).state
    if not taken and state != ends:
        raise _refused(name, state)


def _refused(name: str, state: str) -> Permanent:
    return Permanent(
        f"The tenant is {state}: it cannot {name.replace('_', ' ')} from there.", code="illegal_transition"
    )

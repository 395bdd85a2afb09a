"""`tenant.*`: suspension, archives, restoration, another tier, deletion and erasure. Each handler holds the tenant and runs a saga."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.errors import Permanent
from domain.tenants.retention import kept
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.kinds import KINDS
from jobs.tenant_life import given_up
from tenancy.holding import Hold
from tenancy.life import archives, erase, export, states
from tenancy.life.restore import Restore
from tenancy.life.settle import settle
from tenancy.life.tier import TierChange

Payload = Mapping[str, Any]


@handles("tenant.suspend")
def suspend(context: JobContext, _payload: Payload) -> Payload:
    """Nobody works in it, its jobs wait."""
    with _held(context, "tenant:suspend") as hold:
        states.suspend(hold)
    return _state(context)


@handles("tenant.resume")
def resume(context: JobContext, _payload: Payload) -> Payload:
    """Back to work."""
    with _held(context, "tenant:suspend") as hold:
        states.resume(hold)
    return _state(context)


@handles("tenant.delete")
def delete(context: JobContext, _payload: Payload) -> Payload:
    """Closed, and erased when the grace is over."""
    with _held(context, "tenant:delete") as hold:
        states.delete(hold, context.settings.tenant_grace_days * 86_400, context.principal.subject)
    return _state(context)


@handles("tenant.undelete")
def undelete(context: JobContext, _payload: Payload) -> Payload:
    """Taken back within the grace."""
    with _held(context, "tenant:delete") as hold:
        states.undelete(hold)
    return _state(context)


@handles("tenant.export")
def export_tenant(context: JobContext, payload: Payload) -> Payload:
    """One archive, named like the job. A backup also removes those that no rule keeps any more."""
    _check(context, "tenant:export")
    row = export.export(
        context.tenancy, context.tenant_id, context.job_id, payload["kind"], context.principal.subject, context.progress
    )
    if payload["kind"] == "backup":
        made = archives.ready_moments(context.tenancy.platform, context.tenant_id, "backup")
        for archive_id in made.keys() - kept(made):
            archives.delete(context.tenancy, context.tenant_id, archive_id)
    archives.sweep(context.bucket)
    return archives.as_json(row)


@handles("tenant.restore")
def restore(context: JobContext, payload: Payload) -> Payload:
    """Everything as the archive has it."""
    with _held(context, "tenant:restore") as hold:
        saga = Restore(context.tenancy, hold, payload["archive_id"], context.job_id, context.wait, context.progress)
        return {**saga.run(), **_state(context)}


@handles("tenant.change_tier")
def change_tier(context: JobContext, _payload: Payload) -> Payload:
    """From the pooled database into one of its own."""
    with _held(context, "tenant:update") as hold:
        saga = TierChange(context.settings, context.tenancy, hold, context.job_id, context.wait, context.progress)
        return {"rows": saga.run(), **_state(context)}


@handles("tenant.settle")
def settle_tenant(context: JobContext, _payload: Payload) -> Payload:
    """Bring a tenant out of a move or a restore that was given up. One that was begun anew meanwhile is left alone."""
    with _held(context, None) as hold:
        reason = given_up(context.tenancy, context.tenant_id)
        if reason is not None:
            settle(context.settings, context.tenancy, hold, reason, context.wait, context.progress)
    return {**_state(context), "reason": reason}


@handles("tenant.erase")
def erase_tenant(context: JobContext, payload: Payload) -> Payload:
    """Everything of the tenant but the certificate."""
    tenant_id: UUID = payload["tenant_id"]
    certificate_id = erase.certificate_of(context.tenancy, tenant_id)
    if certificate_id is None:
        with _held(context, None, tenant_id) as hold:
            is_last = context.attempt >= KINDS[context.kind].retry.max_attempts
            saga = erase.Erasure(context.settings, context.tenancy, hold, context.progress, is_last=is_last)
            certificate_id = saga.run()
    return {"tenant_id": str(tenant_id), "certificate_id": str(certificate_id), "at": datetime.now(UTC).isoformat()}


@contextmanager
def _held(context: JobContext, permission: str | None, tenant_id: UUID | None = None) -> Iterator[Hold]:
    _check(context, permission)
    hold = Hold(context.settings, context.tenancy, tenant_id or context.tenant_id, context.confirm)
    try:
        yield hold
    finally:
        hold.close()


def _check(context: JobContext, permission: str | None) -> None:
    """Whoever may replay jobs could replay these. A person needs the permission still; without one, only the platform may."""
    who = context.principal
    if who.user_id is not None and (permission is None or not who.may(permission)):
        raise Permanent("The submitter may not do this with the tenant.", code="permission_denied")


def _state(context: JobContext) -> dict[str, Any]:
    context.tenancy.directory.forget(context.tenant_id)
    return {"tenant_id": str(context.tenant_id), "state": context.tenant.state, "tier": context.tenant.tier}

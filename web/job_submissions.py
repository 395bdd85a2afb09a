"""A submission's body as the engine takes it, and whether its sender may submit it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from bus import endpoints
from domain.errors import FieldError, InvalidPayload, NotFound, PermissionDenied
from domain.jobs.families import AfterPolicy
from jobs.bulk import Related
from jobs.kinds import kind
from jobs.submit import NewJob
from tenancy.scopes import tenant_scope
from web import tracing
from web.context import principal, tenancy, tenant_id


def check_permission(name: str) -> None:
    """Raise `PermissionDenied` unless the caller may do what the kind does, if a permission is needed for it."""
    needed = kind(name).permission
    if needed is not None and not principal().may(needed):
        raise PermissionDenied(f"The permission {needed} is missing.")


def check_endpoint(endpoint_id: UUID | None) -> None:
    """Raise `InvalidPayload` unless it is None or a webhook endpoint of the tenant."""
    if endpoint_id is None:
        return
    try:
        with tenancy().platform.session(tenant_scope(tenant_id())) as session:
            endpoints.find(session, tenant_id(), endpoint_id)
    except NotFound as error:
        fault = FieldError("/webhook_endpoint_id", "not_found", error.detail)
        raise InvalidPayload("The webhook endpoint is unknown.", errors=(fault,)) from None


def plain_submission(body: Mapping[str, Any], idempotency_key: str | None) -> NewJob:
    """The submission that a loaded `JobItemSchema` is, by this request's principal and with its ids."""
    return NewJob(
        kind=body["kind"],
        payload=body["payload"],
        principal=principal(),
        run_at=body["run_at"],
        priority=body["priority"],
        unique_key=body["unique_key"],
        idempotency_key=idempotency_key,
        parent_id=body["parent_id"],
        webhook_endpoint_id=body["webhook_endpoint_id"],
        request_id=tracing.request_id(),
        traceparent=tracing.traceparent(),
    )


def submission_of(body: Mapping[str, Any], idempotency_key: str | None) -> NewJob | Related:
    """As `plain_submission`, with the relatives that the body names, if it names any."""
    new = plain_submission(body, idempotency_key)
    if body["parent_id"] is None and not body["after"]:
        return new
    return Related(new, tuple(body["after"]), AfterPolicy(body["after_policy"]))

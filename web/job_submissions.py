"""A submission's body as the engine takes it, and whether the webhook endpoint that it names is there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from bus import endpoints
from domain.errors import FieldError, InvalidPayload
from domain.jobs.families import AfterPolicy
from jobs.bulk import Related
from jobs.submit import NewJob
from web import tracing
from web.context import principal, tenancy, tenant_id


def of_this_request(job: NewJob) -> NewJob:
    """The job with this request's ids, by which its logs and traces are found."""
    return replace(job, request_id=tracing.request_id(), traceparent=tracing.traceparent())


def known_endpoints(*bodies: Mapping[str, Any]) -> set[UUID]:
    """The tenant's webhook endpoints among those that loaded `JobItemSchema`s name."""
    named = {body["webhook_endpoint_id"] for body in bodies} - {None}
    return endpoints.known(tenancy(), tenant_id(), named)


def check_endpoint(endpoint_id: UUID | None, known: Collection[UUID]) -> None:
    """Raise `InvalidPayload` unless it is None or one of the `known` webhook endpoints."""
    if endpoint_id is not None and endpoint_id not in known:
        fault = FieldError("/webhook_endpoint_id", "not_found", f"There is no webhook endpoint {endpoint_id}.")
        raise InvalidPayload("The webhook endpoint is unknown.", errors=(fault,))


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

"""A submission's body as the engine takes it, and whether its sender may submit it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.errors import PermissionDenied
from domain.jobs.families import AfterPolicy
from jobs.bulk import Related
from jobs.kinds import kind
from jobs.submit import NewJob
from web import tracing
from web.context import principal


def check_permission(name: str) -> None:
    """Raise `PermissionDenied` unless the caller may do what the kind does, if a permission is needed for it."""
    needed = kind(name).permission
    if needed is not None and not principal().may(needed):
        raise PermissionDenied(f"The permission {needed} is missing.")


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
        request_id=tracing.request_id(),
        traceparent=tracing.traceparent(),
    )


def submission_of(body: Mapping[str, Any], idempotency_key: str | None) -> NewJob | Related:
    """As `plain_submission`, with the relatives that the body names, if it names any."""
    new = plain_submission(body, idempotency_key)
    if body["parent_id"] is None and not body["after"]:
        return new
    return Related(new, tuple(body["after"]), AfterPolicy(body["after_policy"]))

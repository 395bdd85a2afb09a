"""What a transaction on the platform database may see, named by who asks."""

from __future__ import annotations

from uuid import UUID

from tenancy.database import Scope, tenant_scope

__all__ = ["operator_scope", "restoring_scope", "tenant_scope", "user_scope"]


def user_scope(user_id: UUID, tenant_id: UUID | None = None) -> Scope:
    """The memberships of one user, whatever the tenant, and the rows of the selected tenant."""
    scope = {"nexus.user_id": str(user_id)}
    return scope if tenant_id is None else {**scope, **tenant_scope(tenant_id)}


def operator_scope() -> Scope:
    """Every tenant's catalog row, for the platform's operators."""
    return {"nexus.operator": "on"}


def restoring_scope(tenant_id: UUID) -> Scope:
    """Rows of one tenant, written as they once were: no quota counts them and no event tells of them."""
    return {**tenant_scope(tenant_id), "nexus.restoring": "on"}

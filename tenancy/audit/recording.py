"""Noting a change, in its own transaction: either both are there or neither.

The chain is that of the transaction's tenant, else the platform's. An entry gets its place in the chain a moment later
(`sealing`), so that no transaction waits for another one's entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy.orm import Session

from domain.audit.entries import PLATFORM, presentable
from domain.ids import new_id
from tenancy.audit.origin import current_origin
from tenancy.database import NO_SCOPE, Scope

_COLUMNS: LiteralString = "tenant_id, id, actor, user_id, action, resource, before, after, request_id, address"

_SOURCE: LiteralString = (
    "%(audit_tenant_id)s::uuid, %(audit_id)s::uuid, %(audit_actor)s, %(audit_user_id)s::uuid, %(audit_action)s"
)

_INSERT: LiteralString = f"""
INSERT INTO audit_entries ({_COLUMNS})
VALUES ({_SOURCE}, %(audit_resource)s, %(audit_before)s::jsonb, %(audit_after)s::jsonb, %(audit_request_id)s,
        %(audit_address)s)
"""


def record(
    session: Session,
    action: str,
    resource: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Note what the session's transaction does. What is named like a secret is redacted; secrets never belong here.

    `action` is `<resource>.<what was done>`, as `role.created`, `resource` is `<resource>:<id>`.
    """
    parameters = _entry(session.info.get("scope", NO_SCOPE), action, resource, before, after)
    session.connection().exec_driver_sql(_INSERT, parameters)


def noted(
    scope: Scope,
    action: str,
    resource: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> tuple[LiteralString, dict[str, Any]]:
    """The statement that notes, for `Database.fetch_many` with this scope: no round trip of its own."""
    return _INSERT, _entry(scope, action, resource, before, after)


def audited(
    statement: LiteralString,
    parameters: Mapping[str, Any],
    scope: Scope,
    action: str,
    resource: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    before_columns: LiteralString | None = None,
) -> tuple[LiteralString, dict[str, Any]]:
    """The statement, which returns what it changed, made to note it as well if it changed anything.

    `before_columns` is SQL for a JSON object of the columns that it returns, in the place of `before`.
    """
    shown: LiteralString = "%(audit_before)s::jsonb" if before_columns is None else before_columns
    sql: LiteralString = f"""
WITH done AS ({statement}), entry AS (
    INSERT INTO audit_entries ({_COLUMNS})
    SELECT {_SOURCE}, %(audit_resource)s, {shown}, %(audit_after)s::jsonb, %(audit_request_id)s, %(audit_address)s
      FROM done LIMIT 1)
SELECT * FROM done
"""
    return sql, {**parameters, **_entry(scope, action, resource, before, after)}


def _entry(
    scope: Scope, action: str, resource: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> dict[str, Any]:
    origin, tenant_id = current_origin(), scope.get("nexus.tenant_id")
    return {
        "audit_tenant_id": PLATFORM if tenant_id is None else UUID(tenant_id),
        "audit_id": new_id(),
        "audit_actor": origin.actor,
        "audit_user_id": origin.user_id,
        "audit_action": action,
        "audit_resource": resource,
        "audit_before": _json(before),
        "audit_after": _json(after),
        "audit_request_id": origin.request_id,
        "audit_address": origin.address,
    }


def _json(values: Mapping[str, Any] | None) -> Jsonb | None:
    shown = presentable(values)
    return None if shown is None else Jsonb(shown)

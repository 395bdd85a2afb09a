"""Who belongs to which tenant: members seen from a tenant, tenants seen from a user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

import psycopg
from sqlalchemy.orm import Session as Transaction

from domain.errors import NotFound
from tenancy.database import Database, Row, tenant_scope
from tenancy.identity.keyset import keyset
from tenancy.scopes import operator_scope, user_scope

_MEMBER: LiteralString = """
SELECT u.id, u.email, u.name, u.created_at, m.created_at AS joined_at, u.disabled_at IS NOT NULL AS disabled,
       ARRAY(SELECT o.name FROM membership_roles r JOIN roles o ON o.tenant_id = r.tenant_id AND o.id = r.role_id
              WHERE r.tenant_id = m.tenant_id AND r.user_id = m.user_id ORDER BY o.name) AS roles
  FROM memberships m JOIN users u ON u.id = m.user_id
 WHERE m.tenant_id = %(tenant_id)s
"""
_ONE_MEMBER: LiteralString = f"{_MEMBER} AND u.id = %(user_id)s"

_FIND: LiteralString = """
SELECT u.id, u.email, u.name FROM memberships m JOIN users u ON u.id = m.user_id
 WHERE m.tenant_id = %(tenant_id)s AND u.disabled_at IS NULL AND cardinality(%(words)s::text[]) > 0
   AND NOT EXISTS (SELECT FROM unnest(%(words)s::text[]) AS w (word)
                    WHERE strpos(lower(u.name || ' ' || u.email), lower(w.word)) = 0)
 ORDER BY starts_with(lower(u.name), lower((%(words)s::text[])[1])) DESC, u.name, u.id LIMIT %(limit)s
"""

_LIMIT_TIME: LiteralString = "SELECT set_config('statement_timeout', %(milliseconds)s, true)"

_TENANT: LiteralString = """
SELECT t.id, t.name, t.tier, t.state, t.is_operator, t.version, t.created_at, t.settings ->> 'failure' AS failure
  FROM tenants t
"""
_ALL: LiteralString = f"{_TENANT} WHERE t.state <> 'deleted'"
_OF_USER: LiteralString = (
    f"{_TENANT} JOIN memberships m ON m.tenant_id = t.id AND m.user_id = %(user_id)s WHERE t.state <> 'deleted'"
)
_ONE: LiteralString = f"{_ALL} AND t.id = %(tenant_id)s"


def members(
    platform: Database, tenant_id: UUID, *, after: UUID | None, limit: int, newest_first: bool = True
) -> list[Row]:
    """Up to `limit` of the tenant's users with the names of their roles, beyond the user's id `after`."""
    parameters = {"tenant_id": tenant_id, "after": after, "limit": limit}
    return platform.fetch(keyset(_MEMBER, "u.id", newest_first=newest_first), parameters, tenant_scope(tenant_id))


def find_members(platform: Database, tenant_id: UUID, words: Sequence[str], limit: int, seconds: float) -> list[Row]:
    """Members, by `id`, `email` and `name`, in whose name or address all the words stand, in any case; no words find nobody.

    Raises `TimeoutError` after so many `seconds`.
    """
    parameters = {"tenant_id": tenant_id, "words": list(words), "limit": limit}
    bound = {"milliseconds": str(max(1, int(seconds * 1000)))}
    try:
        return platform.fetch_many([(_LIMIT_TIME, bound), (_FIND, parameters)], tenant_scope(tenant_id))[1]
    except psycopg.errors.QueryCanceled:
        raise TimeoutError("the members were not looked through in time") from None


def member(platform: Database, tenant_id: UUID, user_id: UUID) -> Row:
    """One user of the tenant. Raises `NotFound`, also for a user of other tenants only."""
    rows = platform.fetch(_ONE_MEMBER, {"tenant_id": tenant_id, "user_id": user_id}, tenant_scope(tenant_id))
    if not rows:
        raise NotFound(f"There is no user {user_id} in this tenant.")
    return rows[0]


def member_in(transaction: Transaction, tenant_id: UUID, user_id: UUID) -> Row:
    """The same, as the transaction sees it."""
    parameters = {"tenant_id": tenant_id, "user_id": user_id}
    rows = transaction.connection().exec_driver_sql(_ONE_MEMBER, parameters).mappings().all()
    if not rows:
        raise NotFound(f"There is no user {user_id} in this tenant.")
    return dict(rows[0])


def tenants_of(
    platform: Database, user_id: UUID, *, after: UUID | None, limit: int, newest_first: bool = True
) -> list[Row]:
    """Up to `limit` of the tenants that the user is a member of, beyond the id `after`."""
    parameters = {"user_id": user_id, "after": after, "limit": limit}
    return platform.fetch(keyset(_OF_USER, "t.id", newest_first=newest_first), parameters, user_scope(user_id))


def all_tenants(platform: Database, *, after: UUID | None, limit: int, newest_first: bool = True) -> list[Row]:
    """Up to `limit` of all tenants, beyond the id `after`; for operators only, which the caller has checked."""
    parameters = {"after": after, "limit": limit}
    return platform.fetch(keyset(_ALL, "t.id", newest_first=newest_first), parameters, operator_scope())


def tenant(platform: Database, tenant_id: UUID) -> Row:
    """One tenant; that the caller belongs to it is checked. Raises `NotFound`."""
    rows = platform.fetch(_ONE, {"tenant_id": tenant_id}, tenant_scope(tenant_id))
    if not rows:
        raise NotFound(f"There is no tenant {tenant_id}.")
    return rows[0]


def is_member(platform: Database, user_id: UUID, tenant_id: UUID) -> bool:
    """Whether the user belongs to the tenant, which is not deleted."""
    rows = platform.fetch(
        f"{_OF_USER} AND t.id = %(tenant_id)s", {"user_id": user_id, "tenant_id": tenant_id}, user_scope(user_id)
    )
    return bool(rows)

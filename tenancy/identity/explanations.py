"""The facts behind a permission, in one round trip."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from domain.errors import NotFound
from domain.identity.explanations import Facts, Key, Step
from tenancy.database import Database, Row, tenant_scope

_USER: LiteralString = """
SELECT u.id, u.email, u.disabled_at IS NOT NULL AS disabled
  FROM memberships m JOIN users u ON u.id = m.user_id
 WHERE m.tenant_id = %(tenant_id)s AND m.user_id = %(user_id)s
"""

_WAYS: LiteralString = """
WITH RECURSIVE ways AS (
    SELECT g.id, g.parent_id, ARRAY[g.id] AS ids, ARRAY[g.name] AS names
      FROM group_members m JOIN groups g ON g.tenant_id = m.tenant_id AND g.id = m.group_id
     WHERE m.tenant_id = %(tenant_id)s AND m.user_id = %(user_id)s
     UNION ALL
    SELECT g.id, g.parent_id, w.ids || g.id, w.names || g.name
      FROM ways w JOIN groups g ON g.tenant_id = %(tenant_id)s AND g.id = w.parent_id
     WHERE g.id <> ALL(w.ids)
), given AS (
    SELECT r.role_id, '{}'::uuid[] AS ids, '{}'::text[] AS names FROM membership_roles r
     WHERE r.tenant_id = %(tenant_id)s AND r.user_id = %(user_id)s
     UNION ALL
    SELECT r.role_id, w.ids, w.names FROM ways w JOIN group_roles r ON r.tenant_id = %(tenant_id)s AND r.group_id = w.id
)
SELECT r.id, r.name, g.ids AS group_ids, g.names AS group_names
  FROM given g
  JOIN roles r ON r.tenant_id = %(tenant_id)s AND r.id = g.role_id
  JOIN role_permissions p ON p.tenant_id = r.tenant_id AND p.role_id = r.id AND p.permission = %(permission)s
"""

_KEY: LiteralString = """
SELECT id, name, scopes, revoked_at IS NOT NULL OR coalesce(expires_at <= now(), false) AS ended
  FROM api_keys WHERE tenant_id = %(tenant_id)s AND id = %(key_id)s AND user_id = %(user_id)s
"""

_ROLES: LiteralString = """
SELECT r.name FROM roles r JOIN role_permissions p ON p.tenant_id = r.tenant_id AND p.role_id = r.id
 WHERE r.tenant_id = %(tenant_id)s AND p.permission = %(permission)s ORDER BY r.name
"""


def facts_of(
    platform: Database, tenant_id: UUID, user_id: UUID, permission: str, key_id: UUID | None = None
) -> tuple[Facts, list[str]]:
    """The facts, and the names of the roles that hold the permission. Raises `NotFound` for who is no member.

    So does a key that is none of the user's in this tenant.
    """
    where = {"tenant_id": tenant_id, "user_id": user_id, "permission": permission, "key_id": key_id}
    statements = [(each, where) for each in (_USER, _WAYS, _KEY, _ROLES)]
    users, ways, keys, roles = platform.fetch_many(statements, tenant_scope(tenant_id))
    if not users:
        raise NotFound(f"There is no user {user_id} in this tenant.")
    if key_id is not None and not keys:
        raise NotFound(f"The user has no API key {key_id}.")
    user = users[0]
    facts = Facts(
        user=Step("user", user["id"], user["email"]),
        disabled=user["disabled"],
        ways=tuple(_way(row) for row in ways),
        key=_key(keys[0]) if keys else None,
    )
    return facts, [row["name"] for row in roles]


def _way(row: Row) -> tuple[Step, ...]:
    groups = zip(row["group_ids"], row["group_names"], strict=True)
    return (*(Step("group", group_id, name) for group_id, name in groups), Step("role", row["id"], row["name"]))


def _key(row: Row) -> Key:
    return Key(row["id"], row["name"], frozenset(row["scopes"]), row["ended"])

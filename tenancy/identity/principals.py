"""From credentials or a job's subject to a principal with its permissions, always in one round trip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from domain.identity.api_keys import PresentedKey
from domain.identity.permissions import effective
from domain.identity.principals import Principal
from domain.ids import parse_id
from tenancy.database import Database, tenant_scope
from tenancy.identity.authorization import PERMISSIONS
from tenancy.scopes import user_scope

_SESSION: LiteralString = f"""
SELECT u.is_operator, u.email_verified_at IS NOT NULL AS email_verified, t.id AS tenant_id, t.state AS tenant_state, {PERMISSIONS} AS permissions
  FROM sessions s
  JOIN users u ON u.id = s.user_id
  LEFT JOIN memberships m ON m.user_id = u.id AND m.tenant_id = %(tenant_id)s
  LEFT JOIN tenants t ON t.id = m.tenant_id AND t.state <> 'deleted'
 WHERE s.id = %(session_id)s AND s.user_id = %(user_id)s
   AND s.revoked_at IS NULL AND s.expires_at > now() AND u.disabled_at IS NULL
"""

# `last_used_at` is a courtesy to people: written at most once a minute, in the statement that is needed anyway.
_API_KEY: LiteralString = f"""
WITH found AS (
  SELECT k.id, k.user_id, k.secret_hash, k.scopes, u.email_verified_at IS NOT NULL AS email_verified, t.state AS tenant_state, {PERMISSIONS} AS permissions
    FROM api_keys k
    JOIN memberships m ON m.tenant_id = k.tenant_id AND m.user_id = k.user_id
    JOIN users u ON u.id = k.user_id
    JOIN tenants t ON t.id = k.tenant_id AND t.state <> 'deleted'
   WHERE k.tenant_id = %(tenant_id)s AND k.id = %(key_id)s
     AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND u.disabled_at IS NULL
), touched AS (
  UPDATE api_keys k SET last_used_at = now()
    FROM found f
   WHERE k.tenant_id = %(tenant_id)s AND k.id = f.id AND f.secret_hash = %(secret_hash)s
     AND (k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute')
)
SELECT * FROM found
"""

_USER_NOW: LiteralString = f"""
SELECT u.id AS user_id, u.is_operator, NULL::text[] AS scopes, {PERMISSIONS} AS permissions
  FROM memberships m JOIN users u ON u.id = m.user_id
 WHERE m.tenant_id = %(tenant_id)s AND m.user_id = %(id)s AND u.disabled_at IS NULL
"""

_KEY_NOW: LiteralString = f"""
SELECT k.user_id, false AS is_operator, k.scopes, {PERMISSIONS} AS permissions
  FROM api_keys k
  JOIN memberships m ON m.tenant_id = k.tenant_id AND m.user_id = k.user_id
  JOIN users u ON u.id = k.user_id
 WHERE k.tenant_id = %(tenant_id)s AND k.id = %(id)s
   AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND u.disabled_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. `asked` is the tenant that was selected or bound, and `tenant_state` its state if the caller
    is a member of it, else None; `principal.tenant_id` is set for members only.
    """

    principal: Principal
    asked: UUID | None
    tenant_state: str | None


def of_session(platform: Database, user_id: UUID, session_id: UUID, tenant_id: UUID | None) -> Caller | None:
    """The user of a live session, in `tenant_id` if a member of it. None if the session ended or the user is disabled."""
    rows = platform.fetch(
        _SESSION,
        {"user_id": user_id, "session_id": session_id, "tenant_id": tenant_id},
        user_scope(user_id, tenant_id),
    )
    if not rows:
        return None
    row = rows[0]
    principal = Principal(
        subject=f"user:{user_id}",
        user_id=user_id,
        tenant_id=row["tenant_id"],
        permissions=frozenset(row["permissions"]) if row["tenant_id"] else frozenset(),
        is_operator=row["is_operator"],
        session_id=session_id,
        email_verified=row["email_verified"],
    )
    return Caller(principal, tenant_id, row["tenant_state"])


def of_api_key(platform: Database, key: PresentedKey) -> Caller | None:
    """The key's principal in its own tenant. None if it is unknown, revoked or expired, or its owner may no longer act."""
    parameters = {"tenant_id": key.tenant_id, "key_id": key.key_id, "secret_hash": key.secret_hash}
    rows = platform.fetch(_API_KEY, parameters, tenant_scope(key.tenant_id))
    if not rows or not key.matches(bytes(rows[0]["secret_hash"])):
        return None
    row = rows[0]
    principal = Principal(
        subject=f"key:{key.key_id}",
        user_id=row["user_id"],
        tenant_id=key.tenant_id,
        permissions=effective(row["permissions"], row["scopes"]),
        api_key_id=key.key_id,
        email_verified=row["email_verified"],
    )
    return Caller(principal, key.tenant_id, row["tenant_state"])


def permissions_of(platform: Database, subject: str, tenant_id: UUID) -> Principal | None:
    """What `user:<id>` or `key:<id>` may do in the tenant now, for jobs that run later than they were asked for.

    None if the user is disabled or no longer a member, the key is revoked or expired, or the subject is of another sort.
    """
    sort, _, text = subject.partition(":")
    subject_id = parse_id(text)
    statement = {"user": _USER_NOW, "key": _KEY_NOW}.get(sort)
    if statement is None or subject_id is None:
        return None
    rows = platform.fetch(statement, {"tenant_id": tenant_id, "id": subject_id}, tenant_scope(tenant_id))
    if not rows:
        return None
    row: dict[str, Any] = rows[0]
    return Principal(
        subject=subject,
        user_id=row["user_id"],
        tenant_id=tenant_id,
        permissions=effective(row["permissions"], row["scopes"]),
        is_operator=row["is_operator"],
        api_key_id=subject_id if sort == "key" else None,
    )

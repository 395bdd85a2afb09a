"""API keys of a tenant."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from domain.errors import NotFound
from domain.identity.api_keys import mint_api_key
from domain.ids import new_id
from tenancy.audit import audited
from tenancy.database import Database, Row, tenant_scope
from tenancy.identity.keyset import keyset

_COLUMNS: LiteralString = "id, user_id, name, last_four, scopes, expires_at, last_used_at, created_at"

# A request that is repeated after a crash makes the same key again: its first secret reached nobody, so a new one replaces it.
_INSERT: LiteralString = f"""
INSERT INTO api_keys (id, tenant_id, user_id, name, secret_hash, last_four, scopes, expires_at)
VALUES (%(id)s, %(tenant_id)s, %(user_id)s, %(name)s, %(secret_hash)s, %(last_four)s, %(scopes)s, %(expires_at)s)
ON CONFLICT (id) DO UPDATE SET secret_hash = excluded.secret_hash, last_four = excluded.last_four
 WHERE api_keys.tenant_id = excluded.tenant_id AND api_keys.revoked_at IS NULL
RETURNING {_COLUMNS}
"""
_LIVE: LiteralString = f"SELECT {_COLUMNS} FROM api_keys WHERE tenant_id = %(tenant_id)s AND revoked_at IS NULL"
_REVOKE: LiteralString = """
UPDATE api_keys SET revoked_at = now()
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND revoked_at IS NULL RETURNING id, name, scopes
"""


def create(
    platform: Database,
    *,
    tenant_id: UUID,
    user_id: UUID,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None,
    key_id: UUID | None = None,
) -> tuple[Row, str]:
    """Make a key that acts for the user in the tenant; returns its row and its text, which cannot be read again.

    Raises `NotFound` if the key was made before and is revoked by now.
    """
    key_id = key_id or new_id()
    minted = mint_api_key(tenant_id, key_id)
    scope = tenant_scope(tenant_id)
    shown = {"user_id": user_id, "name": name, "scopes": sorted(set(scopes)), "expires_at": expires_at}
    row = {
        **shown,
        "id": key_id,
        "tenant_id": tenant_id,
        "secret_hash": minted.secret_hash,
        "last_four": minted.last_four,
    }
    rows = platform.fetch(*audited(_INSERT, row, scope, "api_key.created", f"api_key:{key_id}", after=shown), scope)
    if not rows:
        raise NotFound(f"The API key {key_id} is revoked.")
    return rows[0], minted.text


def page(
    platform: Database, tenant_id: UUID, *, after: UUID | None, limit: int, newest_first: bool = True
) -> list[Row]:
    """Up to `limit` keys that are not revoked, beyond the id `after`."""
    parameters = {"tenant_id": tenant_id, "after": after, "limit": limit}
    return platform.fetch(keyset(_LIVE, "id", newest_first=newest_first), parameters, tenant_scope(tenant_id))


def revoke(platform: Database, tenant_id: UUID, key_id: UUID) -> None:
    """End a key; it stops working at its next request. Raises `NotFound` for another tenant's or a revoked one."""
    scope = tenant_scope(tenant_id)
    statement = audited(
        _REVOKE, {"tenant_id": tenant_id, "id": key_id}, scope, "api_key.revoked", f"api_key:{key_id}",
        before_columns="jsonb_build_object('name', name, 'scopes', scopes)",
    )  # fmt: skip
    if not platform.fetch(*statement, scope):
        raise NotFound(f"There is no API key {key_id}.")

"""Tenant records as the platform reads them: state, where the data lives, and the opened keys, cached for seconds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from domain.errors import NotFound
from domain.tenants.preferences import Preferences, preferences_of
from tenancy.database import Database, tenant_scope
from tenancy.vault import MasterRing, Vault, data_key_place

CACHE_SECONDS = 5.0

_READ = """
SELECT t.version, t.tier, t.state, t.is_operator, t.name, t.dsn_sealed, t.bucket_sealed, t.settings, t.schema_version, t.transition, t.preferences, t.server_sealed, t.llm_provider, t.llm_key_sealed, t.llm_config_sealed,
       (SELECT jsonb_agg(jsonb_build_array(k.version, k.master_key_id, encode(k.wrapped, 'hex')) ORDER BY k.version)
          FROM tenant_keys k WHERE k.tenant_id = t.id) AS keys
  FROM tenants t WHERE t.id = %(tenant_id)s
"""


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """Where a tenant's objects are: a bucket, a prefix in it, and the credentials if they are the tenant's own."""

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A tenant with its secrets opened. Never logged: secrets are kept out of `repr`.

    `server_dsn` is the account that owns the schema on an external tenant's own server. `is_closed` while the data is being
    moved or replaced.
    """

    id: UUID
    version: int
    name: str
    tier: str
    state: str
    is_operator: bool
    vault: Vault = field(repr=False)
    dsn: str | None = field(repr=False)
    bucket: BucketAddress | None = field(repr=False)
    settings: dict[str, object]
    schema_version: str | None
    transition: dict[str, Any] | None
    preferences: Preferences
    server_dsn: str | None = field(repr=False)
    llm_provider: str
    llm_key: str | None = field(repr=False)
    llm_config: dict[str, Any] = field(repr=False)
    """As `domain.completions.config` reads it; empty if the tenant has only `llm_provider` and `llm_key`."""

    @property
    def is_closed(self) -> bool:
        """Whether nobody but who moves the data may open it."""
        return self.state == "migrating" and bool((self.transition or {}).get("closed"))


class TenantDirectory:
    """Reads tenant records through the given platform account and opens them with the master keys."""

    def __init__(self, platform: Database, ring: MasterRing):
        self._platform = platform
        self._ring = ring
        self._lock = threading.Lock()
        self._cache: dict[UUID, tuple[float, TenantRecord]] = {}

    def get(self, tenant_id: UUID, at_least: int = 0) -> TenantRecord:
        """The record, at most `CACHE_SECONDS` old; one in the making or in trouble is read afresh.

        So is one older than version `at_least`, for who has just seen that version. Raises `NotFound`.
        """
        now = time.monotonic()
        cached = self._cache.get(tenant_id)
        if cached is not None and now - cached[0] < CACHE_SECONDS:
            record = cached[1]
            if record.state == "active" and record.version >= at_least:
                return record
        record = self._read(tenant_id)
        with self._lock:
            self._cache[tenant_id] = (now, record)
            if len(self._cache) > 4096:
                self._cache = {key: entry for key, entry in self._cache.items() if now - entry[0] < CACHE_SECONDS}
        return record

    def vault(self, tenant_id: UUID) -> Vault:
        """The tenant's data keys."""
        return self.get(tenant_id).vault

    def forget(self, tenant_id: UUID) -> None:
        """Read afresh next time, as after a change made by this process."""
        with self._lock:
            self._cache.pop(tenant_id, None)

    def _keys_now(self, tenant_id: UUID) -> Mapping[int, bytes]:
        """For a vault that met a key that it does not know: who rotated may be another process."""
        self.forget(tenant_id)
        try:
            return self.get(tenant_id).vault.keys
        except NotFound:
            return {}

    def _read(self, tenant_id: UUID) -> TenantRecord:
        rows = self._platform.fetch(_READ, {"tenant_id": tenant_id}, tenant_scope(tenant_id))
        if not rows or not rows[0]["keys"]:
            raise NotFound(f"There is no tenant {tenant_id}.")
        row = rows[0]
        vault = Vault(
            tenant_id,
            {
                version: self._ring.unwrap(key_id, bytes.fromhex(wrapped), data_key_place(tenant_id, version))
                for version, key_id, wrapped in row["keys"]
            },
            lambda: self._keys_now(tenant_id),
        )

        def opened(column: str) -> str | None:
            sealed = row[column]
            return None if sealed is None else vault.open(sealed, "tenants", column, tenant_id).decode()

        address = opened("bucket_sealed")
        return TenantRecord(
            id=tenant_id,
            version=row["version"],
            name=row["name"],
            tier=row["tier"],
            state=row["state"],
            is_operator=row["is_operator"],
            vault=vault,
            dsn=opened("dsn_sealed"),
            bucket=None if address is None else BucketAddress(**json.loads(address)),
            settings=row["settings"],
            schema_version=row["schema_version"],
            transition=row["transition"],
            preferences=preferences_of(row["preferences"]),
            server_dsn=opened("server_sealed"),
            llm_provider=row["llm_provider"],
            llm_key=opened("llm_key_sealed"),
            llm_config=json.loads(opened("llm_config_sealed") or "{}"),
        )

"""Erasing a tenant for good, step by step, and the certificate that says what was destroyed.

1. The tenant is marked as being erased: from here on nobody takes it back. Credentials go first, so that nobody comes in.
2. What is there is counted, and the counts are kept in the tenant's row.
3. Its rows and database, its objects and its rows on the platform are removed.
4. Its keys go, its row is emptied and the certificate is written, in one transaction. Whatever was sealed for it and lies in a
   backup of the servers opens for nobody from then on.

Each step may run again. Killed anywhere, the next attempt finds the counts of the first.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, LiteralString, TypeVar
from uuid import UUID

from psycopg import sql

from config.settings import Settings
from domain.errors import Permanent, Transient
from domain.ids import new_id
from models.base import PlatformBase
from tenancy.access import Tenancy
from tenancy.audit import record
from tenancy.database import tenant_scope
from tenancy.holding import Hold
from tenancy.life.contents import tenant_tables
from tenancy.life.manifest import canonical, signer
from tenancy.life.rows import Connection, Table, remove
from tenancy.life.tier import raw
from tenancy.provisioning import place_of

T = TypeVar("T")
Progress = Callable[[int, int | None, str], None]

AUDIT = frozenset({"audit_entries", "audit_unsealed", "audit_seals", "audit_anchors"})
"""Who did what, which outlives the tenant until it is past its own time: nobody can remove it before."""
KEPT = AUDIT | {"erasure_certificates", "tenant_keys"}
"""The proof; and the keys, which go last."""

_BEGIN: LiteralString = """
UPDATE tenants SET transition = transition || '{"erasing": true}'::jsonb, version = version + 1
 WHERE id = %(id)s AND state = 'deleting' AND (erase_at <= now() OR transition -> 'erasing' IS NOT NULL)
RETURNING version
"""
_COUNTED: LiteralString = """
UPDATE tenants SET transition = transition || jsonb_build_object('counts', %(counts)s::jsonb)
 WHERE id = %(id)s AND version = %(version)s RETURNING version
"""
_EMPTY: LiteralString = """
UPDATE tenants SET state = 'deleted', name = 'erased', version = version + 1, settings = '{}', preferences = '{}',
       transition = NULL, erase_at = NULL, dsn_sealed = NULL, database_name = NULL, bucket_sealed = NULL, server_sealed = NULL,
       llm_key_sealed = NULL, llm_config_sealed = NULL, schema_version = NULL, billing_due_at = NULL, created_by = NULL
 WHERE id = %(id)s AND version = %(version)s RETURNING version
"""
_CERTIFY: LiteralString = """
INSERT INTO erasure_certificates (id, tenant_id, statement, signature, public_key)
VALUES (%(certificate_id)s, %(id)s, %(statement)s, %(signature)s, %(public_key)s)
"""
_FIND: LiteralString = "SELECT id FROM erasure_certificates WHERE tenant_id = %(id)s"
_LOGINS: LiteralString = "DELETE FROM sessions WHERE tenant_id = %(id)s"
_ANSWERS: LiteralString = "DELETE FROM idempotent_requests WHERE scope = 'tenant:' || %(id)s::text"


def certificate_of(tenancy: Tenancy, tenant_id: UUID) -> UUID | None:
    """The certificate's id, of a tenant that has been erased."""
    rows = tenancy.platform.fetch(_FIND, {"id": tenant_id})
    return rows[0]["id"] if rows else None


class Erasure:
    """The saga of one tenant. `is_last` says that no other attempt will follow."""

    def __init__(self, settings: Settings, tenancy: Tenancy, hold: Hold, progress: Progress, *, is_last: bool = False):
        self._tenancy, self._hold, self._progress, self._is_last = tenancy, hold, progress, is_last
        self._record = tenancy.record(hold.tenant_id)
        self._place = place_of(settings, self._record)

    def run(self) -> UUID:
        """All of it; returns the certificate's id. Raises `Permanent` (`illegal_transition`) before its time."""
        if not self._hold.take(_BEGIN):
            raise Permanent("The tenant is not to be erased, or not yet.", code="illegal_transition")
        steps: tuple[tuple[str, Callable[[], object]], ...] = (
            ("end credentials", self._end_credentials),
            ("count what is there", self._count),
            ("remove the database's rows", self._remove_rows),
            ("remove the database", lambda: self._place.drop(self._hold.server)),
            ("empty the bucket", self._empty_bucket),
            ("remove the platform's rows", self._remove_platform_rows),
        )
        for number, (name, step) in enumerate(steps):
            self._progress(number, len(steps) + 1, name)
            step()
        self._progress(len(steps), len(steps) + 1, "destroy the keys")
        return self._certify()

    def _end_credentials(self) -> None:
        parameters, scope = {"id": self._hold.tenant_id}, tenant_scope(self._hold.tenant_id)
        keys: LiteralString = "UPDATE api_keys SET revoked_at = now() WHERE tenant_id = %(id)s AND revoked_at IS NULL"
        self._tenancy.platform.fetch_many([(_LOGINS, parameters), (_ANSWERS, parameters), (keys, parameters)], scope)

    def _count(self) -> None:
        if "counts" in (self._tenancy.record(self._hold.tenant_id).transition or {}):
            return
        with self._tenancy.platform.session(tenant_scope(self._hold.tenant_id)) as session:
            counts: dict[str, Any] = {"platform": _counts(raw(session), platform_names(), self._hold.tenant_id)}
        counts["database"] = self._count_database()
        infos = [] if self._record.bucket is None else list(self._tenancy.bucket(self._hold.tenant_id).list())
        counts["objects"] = {"objects": len(infos), "bytes": sum(info.size for info in infos)}
        self._hold.update(_COUNTED, counts=json.dumps(counts))

    def _count_database(self) -> dict[str, int] | str:
        def count(connection: Connection) -> dict[str, int]:
            return _counts(connection, [table.name for table in tenant_tables(connection)], self._hold.tenant_id)

        return self._in_database(count) or {}

    def _remove_rows(self) -> None:
        """Also where the database is dropped next: an external one stays, and a pooled one is shared."""

        def remove_all(connection: Connection) -> None:
            for table in reversed(tenant_tables(connection)):
                remove(connection, table, self._hold.tenant_id)

        if self._record.tier != "dedicated":
            self._in_database(remove_all)

    def _in_database(self, act: Callable[[Connection], T]) -> T | str | None:
        """What `act` returns in a transaction of the tenant's database; None if it never had one.

        On the last attempt an external server that does not answer is given up: the text says so.
        """
        if self._record.dsn is None:
            return None
        try:
            with self._tenancy.session(self._hold.tenant_id) as session:
                return act(raw(session))
        except Transient:
            if self._record.tier == "external" and self._is_last:
                return "the tenant's own server could not be reached: nothing was removed there"
            raise

    def _empty_bucket(self) -> None:
        if self._record.bucket is not None:
            self._tenancy.bucket(self._hold.tenant_id).erase()

    def _remove_platform_rows(self) -> None:
        with self._tenancy.platform.session(tenant_scope(self._hold.tenant_id)) as session:
            for name in reversed(platform_names()):
                remove(raw(session), Table(name, (), ()), self._hold.tenant_id)

    def _certify(self) -> UUID:
        transition = self._tenancy.record(self._hold.tenant_id).transition or {}
        certificate_id, key = new_id(), signer(self._tenancy.ring.origin)
        statement = canonical({
            "certificate": str(certificate_id), "tenant_id": str(self._hold.tenant_id), "tier": self._record.tier,
            "erased_at": datetime.now(UTC).isoformat(),
            "asked_by": transition.get("by"), "destroyed": transition.get("counts", {}), "data_keys": len(self._record.vault.keys),
        })  # fmt: skip
        parameters = {
            "id": self._hold.tenant_id, "version": self._hold.version, "certificate_id": certificate_id,
            "statement": statement.decode(), "signature": key.sign(statement),
            "public_key": key.public_key().public_bytes_raw(),
        }  # fmt: skip
        with self._tenancy.platform.session(tenant_scope(self._hold.tenant_id)) as session:
            connection = session.connection()
            if connection.exec_driver_sql(_EMPTY, parameters).first() is None:
                raise Permanent("Something else has changed the tenant meanwhile.", code="provisioning_superseded")
            connection.exec_driver_sql(_CERTIFY, parameters)
            shown = {"certificate_id": certificate_id, "asked_by": transition.get("by")}
            record(session, "tenant.erased", f"tenant:{self._hold.tenant_id}", after=shown)
            connection.exec_driver_sql("DELETE FROM tenant_keys WHERE tenant_id = %(id)s", parameters)
        self._tenancy.directory.forget(self._hold.tenant_id)
        return certificate_id


def platform_names() -> list[str]:
    """Every table of the platform with a tenant's rows that an erasure removes, referred-to ones first."""
    return [
        table.name
        for table in PlatformBase.metadata.sorted_tables
        if "tenant_id" in table.columns and table.name not in KEPT and table.name != "sessions"
    ]


def _counts(connection: Connection, names: list[str], tenant_id: UUID) -> dict[str, int]:
    """Rows of the tenant by table, without those that have none."""
    found = {}
    for name in names:
        query = sql.SQL("SELECT count(*) FROM {} WHERE tenant_id = %s").format(sql.Identifier(name))
        row = connection.execute(query, (tenant_id,)).fetchone()
        if row is not None and row[0]:
            found[name] = int(row[0])
    return found

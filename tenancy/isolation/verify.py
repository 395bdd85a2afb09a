"""Everything that is tried for one tenant, and for the platform that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

import psycopg
import sqlalchemy.exc
from psycopg.conninfo import conninfo_to_dict

from config.settings import ENGINE_ROLE, WEB_ROLE, Settings
from domain.errors import TenantUnavailable
from domain.ids import new_id
from domain.isolation.catalog import RULES, TENANT_ONLY, Catalog
from domain.isolation.report import Check, Result, judged, skipped, tried_safely
from tenancy.access import Tenancy
from tenancy.database import Database
from tenancy.directory import TenantRecord
from tenancy.isolation import attempts, stores
from tenancy.isolation.catalog import read_catalog
from tenancy.provisioning import MARK
from tenancy.servers import pool_database, template_name

_OTHERS: LiteralString = """
SELECT DISTINCT ON (tier) id, dsn_sealed FROM tenants
 WHERE id <> %(tenant_id)s AND state = 'active' AND dsn_sealed IS NOT NULL ORDER BY tier, random()
"""
"""Another tenant of each tier: another one each time, so that with time all are tried."""

_NEWEST_JOBS: LiteralString = "SELECT id FROM jobs WHERE tenant_id <> %(tenant_id)s ORDER BY id DESC LIMIT 20"
_BY_ID: LiteralString = "SELECT id FROM jobs WHERE id = ANY(%(ids)s)"
_KEPT: LiteralString = "SELECT 1 FROM idempotent_requests WHERE scope <> 'tenant:' || %(tenant_id)s LIMIT 1"

_JOBS = ("jobs", "job_keys", "job_waits", "job_dependencies", "schedules")
_EVENTS = ("events", "webhook_endpoints", "webhook_deliveries", "webhook_attempts")
_ACCOUNTS_OF_USERS = ("sessions",)


class Verifier:
    """Tries and reads. What belongs to all is read once per verifier. `tenancy` is the workers' door."""

    def __init__(self, settings: Settings, tenancy: Tenancy):
        self._settings = settings
        self._tenancy = tenancy
        self._catalogs: dict[str, Catalog] = {}
        self._readable: dict[str, list[str]] = {}

    def platform(self) -> list[Check]:
        """The platform database: what its catalog says, and whether the API's account sees a row that no scope names."""
        web, engine = self._settings.web_dsn, self._settings.engine_dsn
        accounts = {_user(web): "the API's account", _user(engine): "the workers' account",
                    WEB_ROLE: "the API's group", ENGINE_ROLE: "the workers' group"}  # fmt: skip
        catalog = read_catalog(
            self._tenancy.platform, accounts, frozenset({WEB_ROLE, ENGINE_ROLE}), frozenset({_user(web), _user(engine)})
        )
        checks = _by_rules("platform", "the catalog of the platform database", catalog, TENANT_ONLY)
        checks.append(
            tried_safely(
                "platform.rows_without_scope", "the API's account reads every table without naming a tenant", "no rows",
                lambda: attempts.see(web, self._platform_tables(), scope=None),
            )
        )  # fmt: skip
        return checks

    def tenant(self, tenant_id: UUID) -> list[Check]:
        """What the tenant's account, key and scope try on others. Raises `TenantUnavailable` if it has no database yet."""
        record = self._tenancy.record(tenant_id)
        if record.dsn is None:
            raise TenantUnavailable(f"Tenant {tenant_id} has no database yet: it is {record.state}.")
        others = self._others(tenant_id)
        return [
            *self._rules(record, record.dsn),
            *self._databases(record, record.dsn, others),
            *self._rows(record, record.dsn),
            *self._on_the_platform(record.id),
            *self._stores(record, others),
        ]

    def _rules(self, record: TenantRecord, dsn: str) -> list[Check]:
        tried = "the catalog of the tenant's database"
        # Who connects to a server of the tenant's own is the tenant's to say.
        left_out = frozenset({"connect"}) if record.tier == "external" else frozenset[str]()
        try:
            return _by_rules("database", tried, self._catalog_of(dsn), left_out)
        except (psycopg.OperationalError, sqlalchemy.exc.OperationalError):
            return [Check("database", tried, "readable", Result.FAILED, "the database cannot be reached")]

    def _catalog_of(self, dsn: str) -> Catalog:
        if dsn not in self._catalogs:
            account = _user(dsn)
            database = Database(dsn, pool_size=1, application_name="nexus isolation")
            try:
                self._catalogs[dsn] = read_catalog(
                    database, {account: "the tenant's account"}, frozenset(), frozenset({account})
                )
            finally:
                database.dispose()
        return self._catalogs[dsn]

    def _databases(self, record: TenantRecord, dsn: str, others: Sequence[TenantRecord]) -> list[Check]:
        own = conninfo_to_dict(dsn)["dbname"]
        if record.tier == "external":
            return []
        shared = {
            "the platform database": str(conninfo_to_dict(self._settings.web_dsn)["dbname"]),
            "the maintenance database": "postgres",
            "the tenants' template": template_name(),
            "the pooled tenants' database": pool_database(self._settings),
        }
        foreign = {f"a {each.tier} tenant's database": str(conninfo_to_dict(each.dsn or "")["dbname"]) for each in others
                   if each.tier != "external"}  # fmt: skip
        databases = {shown: name for shown, name in (shared | foreign).items() if name != own}
        return [
            tried_safely(
                "databases.connect", f"the tenant's account connects to {', '.join(databases)}", "refused",
                lambda: attempts.connect_to(dsn, databases),
            )
        ]  # fmt: skip

    def _rows(self, record: TenantRecord, dsn: str) -> list[Check]:
        me = record.id
        return [
            tried_safely(
                "rows.without_scope", "the tenant's account reads every table without naming a tenant", "no rows",
                lambda: attempts.see(dsn, self._tables(dsn), scope=None),
            ),
            tried_safely(
                "rows.of_others", "the tenant reads every table for rows of others", "no rows",
                lambda: attempts.see(dsn, self._tables(dsn), scope=me),
            ),
            tried_safely(
                "rows.after_the_transaction", "a connection that has just served the tenant is read again without naming it",
                "no rows", lambda: attempts.see_afterwards(dsn, self._tables(dsn), me),
            ),
            tried_safely(
                "rows.write", "the tenant writes a row for another", "refused",
                lambda: attempts.write(dsn, "applied_jobs", {"job_id": new_id(), "step": "isolation"}, scope=me),
            ),
        ]  # fmt: skip

    def _on_the_platform(self, me: UUID) -> list[Check]:
        web = self._settings.web_dsn
        groups = {"jobs": _JOBS, "events": _EVENTS}
        rest = [each for each in self._platform_tables() if not any(each in group for group in groups.values())]
        return [
            *(
                tried_safely(
                    f"platform.{name}", f"the tenant reads {', '.join(tables)} for rows of others", "no rows",
                    lambda tables=tables: attempts.see(web, tables, scope=me),  # type: ignore[misc]  # bound now
                )
                for name, tables in [*groups.items(), ("accounts_and_keys", rest)]
            ),
            tried_safely(
                "platform.write", "the tenant writes a job's key for another", "refused",
                lambda: attempts.write(web, "job_keys", {"key": "isolation", "job_id": new_id()}, scope=me),
            ),
            tried_safely(
                "platform.kept_answers", "the tenant reads answers that are kept for others' idempotency keys", "none",
                lambda: self._kept_answers(web, me),
            ),
            self._hints(web, me),
        ]  # fmt: skip

    def _kept_answers(self, web: str, me: UUID) -> list[str]:
        with attempts.trying(web, me) as connection:
            found = connection.execute(_KEPT, {"tenant_id": str(me)}).fetchall()
        return ["table idempotent_requests: shows answers of others"] if found else []

    def _hints(self, web: str, me: UUID) -> Check:
        """A hint names a job of anybody by its id, and whoever hears it asks PostgreSQL in its own tenant's scope."""
        what = ("platform.hints", "the tenant reads jobs of others by the ids that hints would name", "none")
        rows = self._tenancy.platform.fetch(_NEWEST_JOBS, {"tenant_id": me})
        if not rows:
            return skipped(*what, "no other tenant has a job")

        def read() -> list[str]:
            with attempts.trying(web, me) as connection:
                found = connection.execute(_BY_ID, {"ids": [row["id"] for row in rows]}).fetchall()
            return [f"{len(found)} jobs of others could be read"] if found else []

        return tried_safely(*what, read)

    def _stores(self, record: TenantRecord, others: Sequence[TenantRecord]) -> list[Check]:
        sealed = ("sealed", "the tenant's key opens what is sealed for others", "refused")
        place = ("bucket.place", "the tenant's place in the object store is compared with others'", "apart")
        climbing = (
            "bucket.keys",
            "the tenant reads objects of others through keys that climb, and lists its own",
            "refused",
        )
        if not others or record.bucket is None:
            nothing = "there is no other tenant" if record.bucket else "the tenant has no bucket"
            return [skipped(*what, nothing) for what in (sealed, place, climbing)]
        own, places = record.bucket, [each.bucket for each in others if each.bucket is not None]
        return [
            tried_safely(*sealed, lambda: stores.unseal(record.vault, [(each, self._sealed(each)) for each in others])),
            judged(*place, stores.overlapping(own, places)),
            tried_safely(*climbing, lambda: stores.climb(self._tenancy.bucket(record.id), places, MARK)),
        ]

    def _sealed(self, record: TenantRecord) -> bytes:
        rows = self._tenancy.platform.fetch("SELECT dsn_sealed FROM tenants WHERE id = %(id)s", {"id": record.id})
        return bytes(rows[0]["dsn_sealed"])

    def _others(self, tenant_id: UUID) -> list[TenantRecord]:
        rows = self._tenancy.platform.fetch(_OTHERS, {"tenant_id": tenant_id})
        return [self._tenancy.record(row["id"]) for row in rows]

    def _platform_tables(self) -> list[str]:
        return [each for each in self._tables(self._settings.web_dsn) if each not in _ACCOUNTS_OF_USERS]

    def _tables(self, dsn: str) -> list[str]:
        """What the account may read; tenants of the shared database share it."""
        if dsn not in self._readable:
            self._readable[dsn] = attempts.readable(dsn)
        return self._readable[dsn]


def _by_rules(where: str, tried: str, catalog: Catalog, left_out: frozenset[str]) -> list[Check]:
    return [
        judged(f"{where}.{rule.name}", tried, rule.expected, rule.gaps(catalog))
        for rule in RULES
        if rule.name not in left_out
    ]


def _user(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["user"])

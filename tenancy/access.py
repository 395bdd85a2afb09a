"""The door to a tenant's data: one object per process that opens sessions, buckets and vaults for a named tenant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, LiteralString
from uuid import UUID

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from config.settings import Settings
from domain.errors import NotFound, NotNow, TenantUnavailable, Transient
from providers.storage import Bucket, open_bucket
from tenancy.audit.outbox import SINCE, is_noted, speaking_for, tell
from tenancy.compatibility import refuse_misfits
from tenancy.database import NOTED, Database, Row
from tenancy.directory import TenantDirectory, TenantRecord
from tenancy.engines import TenantEngines
from tenancy.failures import meaning_of
from tenancy.guard import refuse_privileges
from tenancy.masters import open_ring
from tenancy.outward import pin_of
from tenancy.recovery.mark import refuse_half_restored
from tenancy.vault import Vault

PLATFORM_PATIENCE_SECONDS = 20.0
"""No statement of ours on the platform database takes near as long, unless it stands still."""

TENANT_PATIENCE_SECONDS = {"web": 20.0, "engine": 600.0}
"""The same for tenants' databases, where jobs also delete, load and add up whole tables."""

BUSY_SECONDS = 2.0
"""After how long to ask again for a database whose connections are all in use."""


log = structlog.get_logger(__name__)


class Tenancy:
    """`role` chooses the platform account: `web` sees what its scope names, `engine` sees every tenant's jobs."""

    def __init__(self, settings: Settings, role: Literal["web", "engine"]):
        self.settings = settings
        self.ring = open_ring(settings)
        dsn = settings.web_dsn if role == "web" else settings.engine_dsn
        self._variable = "DATABASE_WEB_URL" if role == "web" else "DATABASE_ENGINE_URL"
        self._pooled = settings.database_pooler_url is not None
        self.platform = Database(
            settings.through_pooler(dsn),
            pool_size=settings.platform_pool_size,
            application_name=f"nexus {role}",
            patience=PLATFORM_PATIENCE_SECONDS,
            pooled=self._pooled,
        )
        self._pin = pin_of(settings)
        self._past_pooler = Database(dsn, pool_size=1, application_name=f"nexus {role}")
        self.directory = TenantDirectory(self.platform, self.ring)
        self._engines = TenantEngines(
            limit=settings.tenant_engine_limit,
            pool_size=settings.tenant_pool_size,
            application_name=f"nexus {role}",
            patience=TENANT_PATIENCE_SECONDS[role],
            notes=is_noted,
        )

    def check(self) -> None:
        """Refuse to run under an account that row-level security does not bind, on a platform that is half restored, or on a
        schema that lacks what this version needs. Raises `SettingsError`.
        """
        refuse_privileges(self.platform, self._variable)
        refuse_half_restored(self.platform, self._variable)
        refuse_misfits(self.platform, self._variable)

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of one's own to the platform database, in autocommit, past any pooler: for advisory locks."""
        return self._past_pooler.connect()

    def record(self, tenant_id: UUID, at_least: int = 0) -> TenantRecord:
        """The tenant's record, of version `at_least` or newer. Raises `NotFound`."""
        return self.directory.get(tenant_id, at_least)

    def vault(self, tenant_id: UUID) -> Vault:
        """The tenant's data keys. Raises `NotFound`."""
        return self.directory.vault(tenant_id)

    @contextmanager
    def session(self, tenant_id: UUID) -> Iterator[Session]:
        """A transaction in the tenant's database that sees that tenant's rows only.

        Raises `TenantUnavailable` if the tenant has no database yet or its data is being moved, `TenantAway` if the database
        cannot be connected to, `NotNow` if all connections to it are in use or it has yet to be migrated for what was asked,
        and `Transient` if it goes away in the middle.
        """
        with self._database(tenant_id) as (record, database):
            with database.session(speaking_for(tenant_id)) as session:
                yield session
            if session.info.get(NOTED):
                self._tell(record, database)

    def fetch_many(
        self, tenant_id: UUID, statements: Sequence[tuple[LiteralString, Mapping[str, Any]]]
    ) -> list[list[Row]]:
        """Run statements in the tenant's database as one transaction in one round trip; returns the rows of each.

        For what is done so often that a session would cost more than its statements. Raises as `session`.
        """
        with self._database(tenant_id) as (record, database):
            found = database.fetch_many(statements, speaking_for(tenant_id))
            if any(is_noted(statement) for statement, _ in statements):
                self._tell(record, database)
            return found

    def tell_audit(self, tenant_id: UUID) -> None:
        """Bring what the tenant's database has noted into the audit, if it can be reached: for who reads the audit."""
        try:
            with self._database(tenant_id) as (record, database):
                self._tell(record, database)
        except (NotFound, TenantUnavailable, Transient) as error:
            log.info("audit.not_told", tenant_id=str(tenant_id), reason=str(error))

    def _tell(self, record: TenantRecord, database: Database) -> None:
        """What cannot be told now waits: the change that it is about is done, and must not seem to have failed."""
        if (record.schema_version or "") < SINCE:
            return
        try:
            tell(self.platform, database, record.id)
        except (psycopg.Error, DBAPIError, PoolTimeout) as error:
            log.warning("audit.not_told", tenant_id=str(record.id), reason=str(error))

    @contextmanager
    def _database(self, tenant_id: UUID) -> Iterator[tuple[TenantRecord, Database]]:
        record = self.directory.get(tenant_id)
        if record.is_closed:
            raise TenantUnavailable(f"Tenant {tenant_id} is {record.state}: its data is being moved.")
        with self.database(record) as database:
            yield record, database

    @contextmanager
    def database(self, record: TenantRecord) -> Iterator[Database]:
        """The database that a record names, for who moves, exports or erases a tenant. Raises as `session`."""
        if record.dsn is None:
            raise TenantUnavailable(f"Tenant {record.id} has no database yet: it is {record.state}.")
        try:
            with self._pool_of(record.dsn, record.tier) as database:
                yield database
        except PoolTimeout:
            raise NotNow(
                "All connections to the tenant's database are in use.", code="tenant_busy", retry_after=BUSY_SECONDS
            ) from None
        except (DBAPIError, psycopg.OperationalError, psycopg.ProgrammingError) as error:
            meaning = meaning_of(error, record.schema_version)
            if meaning is None:
                raise
            raise meaning from error

    def _pool_of(self, dsn: str, tier: str) -> AbstractContextManager[Database]:
        """The platform's pooler stands before the platform's servers, not before a tenant's own."""
        if tier == "external":
            return self._engines.use(dsn, pin=self._pin)
        if not self._pooled:
            return self._engines.use(dsn)
        return self._engines.use(self.settings.through_pooler(dsn), pooled=True)

    def bucket(self, tenant_id: UUID) -> Bucket:
        """The tenant's objects. Raises `TenantUnavailable` if the tenant has no bucket yet."""
        record = self.directory.get(tenant_id)
        if record.bucket is None:
            raise TenantUnavailable(f"Tenant {tenant_id} has no bucket yet: it is {record.state}.")
        return open_bucket(
            self.settings,
            name=record.bucket.name,
            prefix=record.bucket.prefix,
            endpoint=record.bucket.endpoint,
            region=record.bucket.region,
            access_key=record.bucket.access_key,
            secret_key=record.bucket.secret_key,
        )

    def dispose(self, *, close: bool = True) -> None:
        """Close every pool; after a fork, call with `close=False` first."""
        self.platform.dispose(close=close)
        self._engines.dispose(close=close)

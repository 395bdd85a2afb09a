"""A tenant's own server as the place of its data: looked at first, then given our schema and one account that owns nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, LiteralString, TypeVar

import psycopg
import structlog
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.exc import DBAPIError

from config.settings import Settings, with_credentials
from domain.errors import JobError, Permanent, Transient
from tenancy.database import Database
from tenancy.directory import TenantRecord
from tenancy.migrations import revisions, upgrade
from tenancy.outward import AddressRefused, pin_of
from tenancy.places import Server, Step, account_of, role_of
from tenancy.servers import ensure_login_role, grant_rows

T = TypeVar("T")
OLDEST_VERSION = 150_000

_ACCOUNT: LiteralString = """
SELECT current_setting('server_version_num')::int AS version, r.rolsuper, r.rolbypassrls, r.rolcreaterole,
       has_schema_privilege('public', 'CREATE') AS may_create,
       ARRAY(SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm'))
           AS tables
  FROM pg_roles r WHERE r.rolname = current_user
"""

log = structlog.get_logger(__name__)


class OwnServer:
    """The database that the tenant's `server_dsn` names, and a login role of ours there."""

    def __init__(self, settings: Settings, record: TenantRecord):
        if record.server_dsn is None:
            raise Permanent("The tenant names no server of its own.", code="external_server_missing")
        self._server_dsn = record.server_dsn
        self._pin = pin_of(settings)
        self._tenant_id = record.id
        self.database = str(conninfo_to_dict(self._server_dsn)["dbname"])
        self.role, self._password = role_of(record.vault) if record.dsn is None else account_of(record.dsn)
        self.dsn = with_credentials(self._server_dsn, self.role, self._password, self.database)

    def steps(self, server: Server) -> list[tuple[str, Step]]:
        """Verify, migrate, grant. What the platform's own server would be asked for does not matter here."""
        return [
            ("verify the server", lambda: self._on_it(self._verify)),
            ("create the login role", lambda: self._on_it(self._create_role)),
            ("migrate the database", lambda: self._asked(self._migrate)),
            ("grant", lambda: self._on_it(self._grant)),
        ]

    def drop(self, server: Server) -> None:
        """The role, if the server still lets us; it is the tenant's own."""
        try:
            self._on_it(self._drop_role)
        except JobError as error:
            log.warning("tenant.external_role_left", tenant_id=str(self._tenant_id), code=error.job_code)

    def _verify(self, connection: psycopg.Connection[Any]) -> None:
        cursor = connection.cursor(row_factory=psycopg.rows.dict_row).execute(_ACCOUNT)
        found = cursor.fetchone() or {}
        faults = [
            words
            for words, holds in (
                ("the server must be PostgreSQL 15 or newer", found["version"] < OLDEST_VERSION),
                ("the account must not be a superuser", found["rolsuper"]),
                ("the account must not have BYPASSRLS", found["rolbypassrls"]),
                ("the account needs CREATEROLE", not found["rolcreaterole"]),
                ("the account needs CREATE on the schema public", not found["may_create"]),
            )
            if holds
        ]
        if faults:
            raise Permanent(f"The server cannot be used: {'; '.join(faults)}.", code="external_server_unfit")
        if found["tables"]:
            self._check_ours(connection, found["tables"])

    def _check_ours(self, connection: psycopg.Connection[Any], tables: list[str]) -> None:
        """Somebody else's tables are left alone."""
        row = None
        if "alembic_version" in tables and "applied_jobs" in tables:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if row is None or row[0] not in revisions("tenant"):
            raise Permanent("The schema public holds tables that are not ours.", code="external_schema_foreign")

    def _create_role(self, connection: psycopg.Connection[Any]) -> None:
        ensure_login_role(connection, self.role, self._password)

    def _migrate(self) -> None:
        database = self._opened()
        try:
            upgrade("tenant", database)
        finally:
            database.dispose()

    def _grant(self, connection: psycopg.Connection[Any]) -> None:
        name, role = sql.Identifier(self.database), sql.Identifier(self.role)
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, role))
        grant_rows(connection, self.role)

    def _drop_role(self, connection: psycopg.Connection[Any]) -> None:
        role = sql.Identifier(self.role)
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (self.role,)).fetchone():
            connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(role))
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
            connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))

    def _on_it(self, act: Callable[[psycopg.Connection[Any]], T]) -> T:
        def connected() -> T:
            with self._opened().connect() as connection:
                return act(connection)

        return self._asked(connected)

    def _opened(self) -> Database:
        return Database(
            self._server_dsn, pool_size=1, application_name="nexus provisioning", patience=120.0, pin=self._pin
        )

    def _asked(self, act: Callable[[], T]) -> T:
        """What went wrong at a server that is not ours, as the tenant can mend it; never with what the server wrote."""
        try:
            return act()
        except AddressRefused:
            raise Permanent(
                "The server's name leads to an address that may not be reached.", code="address_refused"
            ) from None
        except (psycopg.Error, DBAPIError) as error:
            state = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None) or _told(error)
            if state in {"28P01", "28000"}:
                raise Permanent("The server refused the account.", code="external_server_refused") from None
            if state == "3D000":
                raise Permanent("The server has no such database.", code="external_server_refused") from None
            if state == "42501":
                raise Permanent("The account lacks a privilege.", code="external_server_unfit") from None
            raise Transient("The server cannot be reached, or failed.", code="external_server_unavailable") from None


def _told(error: Exception) -> str | None:
    """While connecting libpq gives no state, only words."""
    text = str(error)
    if "authentication failed" in text or "no pg_hba.conf entry" in text:
        return "28P01"
    return "3D000" if 'database "' in text and "does not exist" in text else None

"""What keeps tenants apart in the databases, read from the catalogs and tried with real accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import select, text

from config.settings import Settings, SettingsError
from domain.ids import new_id
from models.base import PlatformBase, TenantBase
from models.platform import Membership, Tenant
from models.tenant import Document
from tenancy.access import Tenancy
from tenancy.database import Database
from tenancy.guard import refuse_privileges
from tenancy.scopes import tenant_scope, user_scope
from tenancy.servers import pool_database, pool_dsn, with_database

UNPROTECTED_PLATFORM = {
    "users",
    "signing_keys",
    "workers",
    "leaders",
    "kind_runtimes",
    "queue_backlogs",
    "processes",
    "readings",
}
"""Platform tables that belong to no tenant."""

GAPS = """
SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
       (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) AS policies,
       (SELECT bool_and(p.polwithcheck IS NOT NULL OR p.polcmd = 'r') FROM pg_policy p WHERE p.polrelid = c.oid) AS checked
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> 'alembic_version' AND NOT c.relispartition
"""


@pytest.fixture
def owner_of_pool(settings: Settings) -> Iterator[Database]:
    database = Database(with_database(settings, pool_database(settings)), pool_size=1, application_name="test")
    yield database
    database.dispose()


def test_every_tenant_table_forces_row_level_security(owner_of_pool: Database) -> None:
    rows = owner_of_pool.fetch(GAPS, {})
    assert {row["relname"] for row in rows} == set(TenantBase.metadata.tables)
    assert [row["relname"] for row in rows if not (row["relrowsecurity"] and row["relforcerowsecurity"])] == []
    assert [row["relname"] for row in rows if not row["policies"] or not row["checked"]] == []


def test_every_platform_table_of_a_tenant_forces_row_level_security(settings: Settings) -> None:
    owner = Database(settings.owner_dsn, pool_size=1, application_name="test")
    rows = owner.fetch(GAPS, {})
    owner.dispose()
    assert {row["relname"] for row in rows} == set(PlatformBase.metadata.tables)
    open_tables = {row["relname"] for row in rows if not (row["relrowsecurity"] and row["relforcerowsecurity"])}
    assert open_tables == UNPROTECTED_PLATFORM
    with_tenant = {table.name for table in PlatformBase.metadata.sorted_tables if "tenant_id" in table.columns}
    assert with_tenant - {"sessions"} <= {row["relname"] for row in rows} - open_tables


def test_every_tenant_table_has_the_tenant_in_its_key_and_its_foreign_keys() -> None:
    for table in TenantBase.metadata.sorted_tables:
        assert "tenant_id" in table.primary_key.columns, table.name
        for key in table.foreign_key_constraints:
            assert "tenant_id" in {column.name for column in key.columns}, f"{table.name}: {key.name}"
        for index in table.indexes:
            assert not index.unique or "tenant_id" in index.columns, f"{table.name}: {index.name}"


def test_no_view_and_no_security_definer_function_leaks(owner_of_pool: Database) -> None:
    views = owner_of_pool.fetch(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind IN ('v', 'm')", {},
    )  # fmt: skip
    functions = owner_of_pool.fetch(
        "SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname = 'public' AND p.prosecdef", {},
    )  # fmt: skip
    assert (views, functions) == ([], [])


def put(tenancy: Tenancy, tenant: UUID, name: str) -> None:
    with tenancy.session(tenant) as session:
        session.add(Document(tenant_id=tenant, external_id=name, title=name, body="text"))


def names(tenancy: Tenancy, tenant: UUID) -> list[str]:
    with tenancy.session(tenant) as session:
        return list(session.scalars(select(Document.external_id)))


@pytest.mark.parametrize("tier", ["pooled", "dedicated"])
def test_a_session_sees_its_tenant_only(engine_tenancy: Tenancy, make_tenant: Callable[..., UUID], tier: str) -> None:
    first, second = make_tenant(tier), make_tenant(tier)
    put(engine_tenancy, first, "one")
    put(engine_tenancy, second, "two")
    assert (names(engine_tenancy, first), names(engine_tenancy, second)) == (["one"], ["two"])


def test_a_row_cannot_be_written_for_another_tenant(engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]) -> None:
    first, second = make_tenant(), make_tenant()
    with pytest.raises(Exception, match="row-level security"), engine_tenancy.session(first) as session:
        session.add(Document(tenant_id=second, external_id="x", title="x", body="x"))


def test_without_a_scope_there_are_no_rows(engine_tenancy: Tenancy, settings: Settings, pooled_tenant: UUID) -> None:
    put(engine_tenancy, pooled_tenant, "one")
    pool = Database(pool_dsn(settings), pool_size=1, application_name="test")
    try:
        assert pool.fetch("SELECT * FROM documents", {}) == []
        assert len(pool.fetch("SELECT * FROM documents", {}, tenant_scope(pooled_tenant))) == 1
        # The same connection again: a setting that was once local now reads '' and must still mean no rows.
        assert pool.fetch("SELECT * FROM documents", {}) == []
        with pool.session({}) as session:
            assert session.execute(text("SELECT count(*) FROM documents")).scalar() == 0
    finally:
        pool.dispose()


def test_a_tenants_account_cannot_truncate(settings: Settings) -> None:
    with psycopg.connect(pool_dsn(settings)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("TRUNCATE documents CASCADE")


def test_a_tenants_account_cannot_connect_to_another_tenants_database(
    engine_tenancy: Tenancy, settings: Settings, make_tenant: Callable[..., UUID]
) -> None:
    first, second = make_tenant("dedicated"), make_tenant("dedicated")
    mine = engine_tenancy.record(first).dsn or ""
    for database in (f"nexus_t_{second.hex}", pool_database(settings), "postgres"):
        foreign = psycopg.conninfo.make_conninfo(mine, dbname=database)
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(foreign)


def test_a_tenants_account_needs_its_password(engine_tenancy: Tenancy, tenant: UUID) -> None:
    wrong = psycopg.conninfo.make_conninfo(engine_tenancy.record(tenant).dsn or "", password="guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_the_web_account_sees_no_tenant_without_a_scope(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    for table in ("tenants", "memberships", "jobs", "tenant_keys", "api_keys", "roles"):
        assert web_tenancy.platform.fetch(f"SELECT * FROM {table}", {}) == []
    assert len(web_tenancy.platform.fetch("SELECT * FROM tenants", {}, tenant_scope(pooled_tenant))) == 1


def test_a_user_sees_the_tenants_of_their_memberships(web_tenancy: Tenancy, pooled_tenant: UUID, user: UUID) -> None:
    with web_tenancy.platform.session(user_scope(user)) as session:
        assert list(session.scalars(select(Tenant.id))) == [pooled_tenant]
        assert list(session.scalars(select(Membership.tenant_id))) == [pooled_tenant]
    with web_tenancy.platform.session(user_scope(new_id())) as session:
        assert list(session.scalars(select(Tenant.id))) == []


def test_the_engine_account_cannot_read_logins(engine_tenancy: Tenancy) -> None:
    for table in ("sessions", "refresh_tokens", "signing_keys"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            engine_tenancy.platform.fetch(f"SELECT * FROM {table}", {})


def test_the_process_refuses_an_account_that_policies_do_not_bind(cluster: object, settings: Settings) -> None:
    for dsn in (settings.owner_dsn, cluster.postgres.superuser_dsn):  # type: ignore[attr-defined]
        database = Database(dsn, pool_size=1, application_name="test")
        with pytest.raises(SettingsError, match="DATABASE_WEB_URL: the account"):
            refuse_privileges(database, "DATABASE_WEB_URL")
        database.dispose()


def test_application_accounts_are_accepted(web_tenancy: Tenancy, engine_tenancy: Tenancy) -> None:
    web_tenancy.check()
    engine_tenancy.check()

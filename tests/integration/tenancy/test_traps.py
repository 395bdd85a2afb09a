"""What passes row-level security by, shown on this very PostgreSQL, and that our schemas and sessions do not fall for it.

Each test first shows the trap in a database of its own, so that it fails if a later server behaves otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError

from config.settings import Settings
from models.tenant import Customer, Document, Plan
from tenancy.access import Tenancy
from tenancy.database import Database
from tenancy.scopes import tenant_scope
from tenancy.servers import pool_dsn, template_name
from tests.conftest import Cluster, create_database

ROOT = Path(__file__).parents[3]
MINE, THEIRS = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"

SCHEMA = f"""
CREATE TABLE notes (tenant_id uuid NOT NULL, id int PRIMARY KEY, email text UNIQUE, parent int REFERENCES notes (id));
INSERT INTO notes VALUES ('{MINE}', 1, 'mine@example.com', NULL), ('{THEIRS}', 2, 'theirs@example.com', NULL);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (tenant_id = (SELECT nullif(current_setting('nexus.tenant_id', true), '')::uuid))
    WITH CHECK (tenant_id = (SELECT nullif(current_setting('nexus.tenant_id', true), '')::uuid));
GRANT ALL ON notes TO trap_application; GRANT CONNECT ON DATABASE nexus_traps TO trap_application;
"""


@pytest.fixture(scope="module")
def traps(cluster: Cluster, worker_id: str) -> Iterator[tuple[str, str]]:
    """DSNs of a table with naive row-level security: as its owner, and as an application."""
    name, role = f"nexus_traps_{worker_id}", f"trap_application_{worker_id}"
    create_database(cluster, name)
    admin = cluster.postgres.superuser_dsn
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {role}")  # type: ignore[arg-type]  # made up here
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'trap'")  # type: ignore[arg-type]
    owner = make_conninfo(cluster.postgres.dsn, dbname=name)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(SCHEMA.replace("trap_application", role).replace("nexus_traps", name))  # type: ignore[arg-type]
        connection.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {role}")  # type: ignore[arg-type]
    yield owner, make_conninfo(owner, user=role, password="trap")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
        connection.execute(f"DROP ROLE {role}")  # type: ignore[arg-type]


def seen(dsn: str, query: str = "SELECT count(*) FROM notes", *, tenant: str | None = MINE, first: str = "") -> Any:
    """What the account sees in the tenant's scope. Nothing that it did stays."""
    with psycopg.connect(dsn) as connection:
        if tenant is not None:
            connection.execute("SELECT set_config('nexus.tenant_id', %s, true)", (tenant,))
        if first:
            connection.execute(first)  # type: ignore[arg-type]
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
        connection.rollback()
        return None if row is None else row[0]


@pytest.fixture
def owner_of_pool(settings: Settings, engine_tenancy: Tenancy, pooled_tenant: UUID) -> str:
    """The owner's DSN of the pooled tenants' database, in which one tenant has a document."""
    put(engine_tenancy, pooled_tenant, "one")
    database = psycopg.conninfo.conninfo_to_dict(pool_dsn(settings))["dbname"]
    return make_conninfo(settings.owner_dsn, dbname=database)


def put(tenancy: Tenancy, tenant: UUID, name: str) -> None:
    with tenancy.session(tenant) as session:
        session.add(Document(tenant_id=tenant, external_id=name, title=name, body="text"))


def test_an_owner_sees_all_unless_policies_are_forced(traps: tuple[str, str], owner_of_pool: str) -> None:
    owner, application = traps

    assert (seen(owner), seen(application)) == (2, 1)
    assert seen(owner, first="ALTER TABLE notes FORCE ROW LEVEL SECURITY") == 1
    assert seen(owner_of_pool, "SELECT count(*) FROM documents", tenant=None) == 0


def test_a_superuser_sees_all_even_then(traps: tuple[str, str], cluster: Cluster) -> None:
    database = psycopg.conninfo.conninfo_to_dict(traps[0])["dbname"]
    superuser = make_conninfo(cluster.postgres.superuser_dsn, dbname=database)

    assert seen(superuser, first="ALTER TABLE notes FORCE ROW LEVEL SECURITY") == 2
    # `tenancy.guard` refuses such an account: tests/integration/tenancy/test_row_level_security.py


@pytest.mark.parametrize(
    ("making", "query", "leaks"),
    [
        ("CREATE VIEW leak AS SELECT * FROM notes", "SELECT count(*) FROM leak", 2),
        ("CREATE VIEW leak WITH (security_invoker) AS SELECT * FROM notes", "SELECT count(*) FROM leak", 1),
        ("CREATE MATERIALIZED VIEW leak AS SELECT * FROM notes", "SELECT count(*) FROM leak", 2),
        ("CREATE FUNCTION leak() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM notes'",
         "SELECT leak()", 2),
    ],
    ids=["view", "view with security_invoker", "materialized view", "security definer"],
)  # fmt: skip
def test_what_runs_under_its_owners_rights_leaks(traps: tuple[str, str], making: str, query: str, leaks: int) -> None:
    """None of ours does: `tenant.verify_isolation` names each, tests/integration/tasks/test_isolation.py."""
    owner, application = traps
    kind, name = (
        ("FUNCTION", "leak()")
        if "FUNCTION" in making
        else ("MATERIALIZED VIEW" if "MATER" in making else "VIEW", "leak")
    )
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(making)  # type: ignore[arg-type]
        try:
            connection.execute("GRANT SELECT ON leak TO PUBLIC" if kind != "FUNCTION" else "SELECT 1")
            assert seen(application, query) == leaks
        finally:
            connection.execute(f"DROP {kind} {name}")  # type: ignore[arg-type]


def test_a_materialized_view_leaks_even_what_is_forced(traps: tuple[str, str]) -> None:
    """It keeps what its owner could see when it was made."""
    making = "CREATE MATERIALIZED VIEW kept AS SELECT * FROM notes; ALTER TABLE notes FORCE ROW LEVEL SECURITY"

    assert seen(traps[0], "SELECT count(*) FROM kept", first=making) == 2


def test_truncate_asks_no_policy(traps: tuple[str, str], settings: Settings) -> None:
    _, application = traps
    with psycopg.connect(application) as connection:
        connection.execute("TRUNCATE notes")
        connection.rollback()
    with psycopg.connect(pool_dsn(settings)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("TRUNCATE documents CASCADE")


def test_a_unique_key_without_the_tenant_tells_of_a_hidden_row(
    traps: tuple[str, str], engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        seen(traps[1], first=f"INSERT INTO notes VALUES ('{MINE}', 9, 'theirs@example.com', NULL)")
    for tenant in (make_tenant(), make_tenant()):
        put(engine_tenancy, tenant, "the same name")


def test_a_foreign_key_without_the_tenant_points_at_a_hidden_row(
    traps: tuple[str, str], engine_tenancy: Tenancy, make_tenant: Callable[..., UUID]
) -> None:
    assert seen(traps[1], first=f"INSERT INTO notes VALUES ('{MINE}', 9, 'x', 2)") == 2
    mine, theirs = make_tenant(), make_tenant()
    plan = uuid4()
    with engine_tenancy.session(theirs) as session:
        session.add(Plan(tenant_id=theirs, id=plan, code="p", name="P", amount=1, currency="EUR", interval="month"))
    customer = uuid4()
    with engine_tenancy.session(mine) as session:
        session.add(Customer(tenant_id=mine, id=customer, name="Ada", email="ada@example.com"))

    def subscribe() -> None:
        with engine_tenancy.session(mine) as session:
            session.execute(text(_SUBSCRIBE), {"tenant": mine, "customer": customer, "plan": plan})

    with pytest.raises(IntegrityError, match="foreign key"):
        subscribe()


_SUBSCRIBE = """
INSERT INTO subscriptions (tenant_id, id, customer_id, plan_id, anchor_at, next_cycle_at)
VALUES (:tenant, gen_random_uuid(), :customer, :plan, now(), now())
"""


def test_a_setting_that_was_local_is_empty_afterwards_and_not_null(traps: tuple[str, str]) -> None:
    with psycopg.connect(traps[1]) as connection:
        read = "SELECT current_setting('nexus.tenant_id', true)"
        before = connection.execute(read).fetchone()
        connection.execute("SELECT set_config('nexus.tenant_id', %s, true)", (MINE,))
        connection.commit()
        after = connection.execute(read).fetchone()
        rows = connection.execute("SELECT count(*) FROM notes").fetchone()

    assert (before, after) == ((None,), ("",))
    assert rows == (0,), "nullif keeps the cast from failing and the rows from showing"


def test_a_setting_of_the_session_leaks_to_the_next_and_none_of_ours_is(
    settings: Settings, pooled_tenant: UUID
) -> None:
    naive = Database(pool_dsn(settings), pool_size=1, application_name="test")
    read = "SELECT current_setting('nexus.tenant_id', true) AS leaked"
    try:
        with naive.session({}) as session:
            session.execute(text(f"SET nexus.tenant_id = '{pooled_tenant}'"))
        leaked = naive.fetch(read, {})
    finally:
        naive.dispose()
    ours = Database(pool_dsn(settings), pool_size=1, application_name="test")
    try:
        with ours.session(tenant_scope(pooled_tenant)) as session:
            session.execute(text("SELECT 1"))
        ours.fetch("SELECT 1", {}, tenant_scope(pooled_tenant))
        clean = ours.fetch(read, {})
    finally:
        ours.dispose()

    assert leaked == [{"leaked": str(pooled_tenant)}]
    assert clean == [{"leaked": ""}]


def test_no_code_of_ours_sets_a_scope_for_longer_than_a_transaction() -> None:
    lasting = re.compile(r"SET\s+(SESSION\s+)?nexus\.|set_config\(\s*'nexus\.[a-z_]+'[^)]*,\s*false", re.IGNORECASE)
    rooms = ("tenancy", "jobs", "bus", "tasks", "workers", "web", "cli", "models", "migrations")
    found = [str(path) for room in rooms for path in (ROOT / room).rglob("*.py") if lasting.search(path.read_text())]

    assert found == []


def test_a_local_setting_does_nothing_under_autocommit(
    traps: tuple[str, str], settings: Settings, engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    """A single-trip statement therefore travels with its scope in one pipeline, which is one transaction."""
    with psycopg.connect(traps[1], autocommit=True) as connection:
        connection.execute("SELECT set_config('nexus.tenant_id', %s, true)", (MINE,))
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    put(engine_tenancy, pooled_tenant, "one")
    rows = engine_tenancy.fetch_many(pooled_tenant, [("SELECT external_id FROM documents", {})])

    assert rows == [[{"external_id": "one"}]]


def test_a_commit_in_the_middle_drops_the_scope_so_ours_end_the_session(
    traps: tuple[str, str], engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    with psycopg.connect(traps[1]) as connection:
        connection.execute("SELECT set_config('nexus.tenant_id', %s, true)", (MINE,))
        connection.commit()
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)

    def commit_and_go_on() -> None:
        with engine_tenancy.session(pooled_tenant) as session:
            session.commit()
            session.scalar(select(Document.id))

    with pytest.raises(InvalidRequestError):
        commit_and_go_on()


def test_everybody_may_connect_to_a_new_database_until_that_is_revoked(
    cluster: Cluster, traps: tuple[str, str], engine_tenancy: Tenancy, tenant: UUID, worker_id: str
) -> None:
    application = traps[1]
    create_database(cluster, f"nexus_open_{worker_id}")
    try:
        psycopg.connect(make_conninfo(application, dbname=f"nexus_open_{worker_id}")).close()
    finally:
        with psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE nexus_open_{worker_id}")  # type: ignore[arg-type]
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(make_conninfo(application, dbname=f"nexus_t_{tenant.hex}"))


def test_a_template_that_has_a_session_cannot_be_cloned_so_ours_takes_none(
    cluster: Cluster, traps: tuple[str, str], prepared: object
) -> None:
    database = psycopg.conninfo.conninfo_to_dict(traps[0])["dbname"]
    with psycopg.connect(traps[0]), psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.ObjectInUse):
            connection.execute(f"CREATE DATABASE nexus_clone TEMPLATE {database}")  # type: ignore[arg-type]
        row = connection.execute(
            "SELECT datallowconn FROM pg_database WHERE datname = %s", (template_name(),)
        ).fetchone()
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        psycopg.connect(make_conninfo(cluster.postgres.superuser_dsn, dbname=template_name()))

    assert row == (False,)


def test_no_database_is_made_in_a_transaction(settings: Settings) -> None:
    with psycopg.connect(settings.owner_dsn) as connection, pytest.raises(psycopg.errors.ActiveSqlTransaction):
        connection.execute("CREATE DATABASE nexus_never")
    owner = Database(settings.owner_dsn, pool_size=1, application_name="test")
    with owner.connect() as connection:
        assert connection.autocommit is True


def test_an_advisory_lock_holds_in_its_own_database_only_so_ours_are_all_taken_on_the_platform(
    settings: Settings, engine_tenancy: Tenancy
) -> None:
    take = "SELECT pg_try_advisory_lock(hashtext('a trap'))"
    with engine_tenancy.connect() as first, psycopg.connect(pool_dsn(settings)) as elsewhere:
        mine, theirs = first.execute(take).fetchone(), elsewhere.execute(take).fetchone()
        with engine_tenancy.connect() as second:
            again = second.execute(take).fetchone()
            place = second.execute("SELECT current_database()").fetchone()

    assert (mine, theirs, again) == ((True,), (True,), (False,))
    assert place == (psycopg.conninfo.conninfo_to_dict(settings.engine_dsn)["dbname"],)

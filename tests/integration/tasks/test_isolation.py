"""Verifying isolation: it passes on a sound platform, and names each thing that is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from config.settings import Settings
from domain.errors import Permanent
from models.tenant import Document
from tasks.isolation import verify_all, verify_tenant
from tenancy.access import Tenancy
from tenancy.bootstrap import Prepared
from tests.conftest import Cluster

MakeContext = Callable[..., tuple[Any, Any]]


POLICY = """
CREATE POLICY tenant_rows ON {table}
 USING (tenant_id = (SELECT nullif(current_setting('nexus.tenant_id', true), '')::uuid))
 WITH CHECK (tenant_id = (SELECT nullif(current_setting('nexus.tenant_id', true), '')::uuid))
"""


@pytest.fixture
def report(make_context: MakeContext) -> Callable[[UUID], dict[str, Any]]:
    """Runs the job of one tenant."""

    def run(tenant_id: UUID) -> dict[str, Any]:
        context, payload = make_context("tenant.verify_isolation", tenant_id, {}, seconds=600)
        return dict(verify_tenant(context, payload))

    return run


def failures(report: dict[str, Any]) -> dict[str, str]:
    """What failed, by the check's name."""
    return {check["name"]: check["found"] for check in report["checks"] if check["result"] == "failed"}


def put(tenancy: Tenancy, tenant: UUID) -> None:
    """A row and a job of the tenant, so that there is something to see."""
    with tenancy.session(tenant) as session:
        session.add(Document(tenant_id=tenant, external_id="secret", title="secret", body="secret"))


@contextmanager
def broken(dsn: str, breaking: str, mending: str) -> Iterator[None]:
    """The database at `dsn` between two statements."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(breaking)  # type: ignore[call-overload]  # made up here
        try:
            yield
        finally:
            connection.execute(mending)  # type: ignore[call-overload]


@pytest.mark.parametrize("tier", ["dedicated", "pooled"])
def test_a_sound_tenant_passes_every_check(
    report: Callable[[UUID], dict[str, Any]],
    engine_tenancy: Tenancy,
    make_tenant: Callable[..., UUID],
    make_context: MakeContext,
    tier: str,
) -> None:
    own, others = make_tenant(tier), [make_tenant("dedicated"), make_tenant("pooled")]
    for tenant in (own, *others):
        put(engine_tenancy, tenant)
        make_context("system.ping", tenant, {})
    found = report(own)

    assert failures(found) == {}
    assert (found["isolated"], found["skipped"], found["failed"]) == (True, 0, 0)
    assert found["passed"] == len(found["checks"]) > 30
    assert not any(str(other) in str(found) or other.hex in str(found) for other in others)
    account = conninfo_to_dict(engine_tenancy.record(own).dsn or "")["user"]
    assert str(account) not in str(found), "names of accounts are secrets"


IN_THE_TENANT = [
    ("DROP POLICY tenant_rows ON documents",
     POLICY.format(table="documents"),
     "database.policies", "table documents: no policy"),
    ("CREATE POLICY loose ON documents USING (true)", "DROP POLICY loose ON documents",
     "database.policies", "the policy loose binds nobody"),
    ("ALTER TABLE documents NO FORCE ROW LEVEL SECURITY", "ALTER TABLE documents FORCE ROW LEVEL SECURITY",
     "database.row_security_forced", "table documents: row-level security is not forced"),
    ("ALTER TABLE documents DISABLE ROW LEVEL SECURITY", "ALTER TABLE documents ENABLE ROW LEVEL SECURITY",
     "database.row_security_forced", "table documents: row-level security is not enabled"),
    ("CREATE VIEW titles AS SELECT tenant_id, title FROM documents", "DROP VIEW titles",
     "database.views", "view titles: runs under its owner's rights"),
    ("CREATE MATERIALIZED VIEW titles AS SELECT tenant_id, title FROM documents", "DROP MATERIALIZED VIEW titles",
     "database.materialized_views", "materialized view titles"),
    ("CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM documents'",
     "DROP FUNCTION peek", "database.functions", "function peek"),
    ("GRANT TRUNCATE ON documents TO {account}", "REVOKE TRUNCATE ON documents FROM {account}",
     "database.privileges", "table documents: TRUNCATE granted"),
    ("GRANT CONNECT ON DATABASE {database} TO PUBLIC", "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
     "database.connect", "everybody (PUBLIC) may connect"),
    ("CREATE UNIQUE INDEX leaky ON documents (external_id)", "DROP INDEX leaky",
     "database.unique_keys", "table documents: unique leaky"),
    ("ALTER TABLE documents OWNER TO {account}", "ALTER TABLE documents OWNER TO {owner}",
     "database.ownership", "table documents: owned by an application account"),
    ("CREATE TABLE notes (tenant_id uuid, note text)", "DROP TABLE notes",
     "database.policies", "table notes: no policy"),
    ("GRANT CREATE ON SCHEMA public TO {account}", "REVOKE CREATE ON SCHEMA public FROM {account}",
     "database.schema_create", "the tenant's account may create"),
]  # fmt: skip


@pytest.mark.parametrize(("breaking", "mending", "check", "gap"), IN_THE_TENANT, ids=[row[3] for row in IN_THE_TENANT])
def test_what_is_broken_in_a_tenants_database_is_named(
    report: Callable[[UUID], dict[str, Any]],
    cluster: Cluster,
    engine_tenancy: Tenancy,
    tenant: UUID,
    breaking: str,
    mending: str,
    check: str,
    gap: str,
) -> None:
    own = conninfo_to_dict(engine_tenancy.record(tenant).dsn or "")
    names = {"account": own["user"], "database": own["dbname"], "owner": "nexus_owner"}
    dsn = psycopg.conninfo.make_conninfo(cluster.postgres.superuser_dsn, dbname=own["dbname"])
    with broken(dsn, breaking.format(**names), mending.format(**names)):
        found = report(tenant)

    assert gap in failures(found)[check]
    assert found["isolated"] is False


def test_rows_that_a_loose_policy_shows_are_seen_by_trying(
    report: Callable[[UUID], dict[str, Any]],
    settings: Settings,
    cluster: Cluster,
    engine_tenancy: Tenancy,
    make_tenant: Callable[..., UUID],
) -> None:
    own, other = make_tenant("pooled"), make_tenant("pooled")
    put(engine_tenancy, other)
    pool = conninfo_to_dict(engine_tenancy.record(own).dsn or "")["dbname"]
    dsn = psycopg.conninfo.make_conninfo(cluster.postgres.superuser_dsn, dbname=pool)
    loose = "CREATE POLICY loose ON documents USING (current_setting('nexus.tenant_id', true) IS NOT NULL OR true)"
    with broken(dsn, loose, "DROP POLICY loose ON documents"):
        found = failures(report(own))
    table = "table documents: shows rows that are not the tenant's"

    assert (found["rows.of_others"], found["rows.without_scope"], found["rows.after_the_transaction"]) == (table,) * 3


ON_THE_PLATFORM = [
    ("DROP POLICY tenant_rows ON jobs",
     POLICY.format(table="jobs"),
     "platform.policies", "table jobs: no policy"),
    ("CREATE POLICY loose ON events TO nexus_web USING (true)", "DROP POLICY loose ON events",
     "platform.events", "table events: shows rows"),
    ("ALTER TABLE tenants DISABLE ROW LEVEL SECURITY", "ALTER TABLE tenants ENABLE ROW LEVEL SECURITY",
     "platform.row_security_forced", "table tenants: row-level security is not enabled"),
    ("ALTER ROLE {web} BYPASSRLS", "ALTER ROLE {web} NOBYPASSRLS",
     "platform.accounts", "the API's account has BYPASSRLS"),
    ("GRANT pg_read_all_data TO {web}", "REVOKE pg_read_all_data FROM {web}",
     "platform.accounts", "the API's account is a member of another role"),
    ("GRANT SELECT ON jobs_live TO nexus_web; ALTER TABLE jobs_live DISABLE ROW LEVEL SECURITY",
     "ALTER TABLE jobs_live ENABLE ROW LEVEL SECURITY; REVOKE SELECT ON jobs_live FROM nexus_web",
     "platform.parts_closed", "part jobs_live"),
    ("GRANT CONNECT ON DATABASE {database} TO {tenant}", "REVOKE CONNECT ON DATABASE {database} FROM {tenant}",
     "databases.connect", "the platform database: the account was let in"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("breaking", "mending", "check", "gap"), ON_THE_PLATFORM, ids=[row[3] for row in ON_THE_PLATFORM]
)
def test_what_is_broken_on_the_platform_is_named(
    report: Callable[[UUID], dict[str, Any]],
    settings: Settings,
    cluster: Cluster,
    engine_tenancy: Tenancy,
    make_tenant: Callable[..., UUID],
    breaking: str,
    mending: str,
    check: str,
    gap: str,
) -> None:
    tenant, other = make_tenant("dedicated"), make_tenant("pooled")
    engine_tenancy.platform.fetch(
        "INSERT INTO events (id, tenant_id, name) VALUES (gen_random_uuid(), %(tenant)s, 'test.happened')",
        {"tenant": other},
    )
    platform = conninfo_to_dict(settings.web_dsn)
    names = {
        "web": platform["user"],
        "database": platform["dbname"],
        "tenant": conninfo_to_dict(engine_tenancy.record(tenant).dsn or "")["user"],
    }
    dsn = psycopg.conninfo.make_conninfo(cluster.postgres.superuser_dsn, dbname=platform["dbname"])
    with broken(dsn, breaking.format(**names), mending.format(**names)):
        found = failures(report(tenant))

    assert gap in found[check]
    assert str(names["web"]) not in str(found)


def test_a_role_that_gets_bypassrls_is_named(
    report: Callable[[UUID], dict[str, Any]], cluster: Cluster, engine_tenancy: Tenancy, tenant: UUID
) -> None:
    account = conninfo_to_dict(engine_tenancy.record(tenant).dsn or "")["user"]
    dsn = cluster.postgres.superuser_dsn
    with broken(dsn, f"ALTER ROLE {account} BYPASSRLS", f"ALTER ROLE {account} NOBYPASSRLS"):
        assert failures(report(tenant))["database.accounts"] == "the tenant's account has BYPASSRLS"


@pytest.fixture
def alone(engine_tenancy: Tenancy) -> Iterator[None]:
    """A platform whose tenants of other tests rest meanwhile."""
    rows = engine_tenancy.platform.fetch(
        "UPDATE tenants SET state = 'suspended' WHERE state = 'active' RETURNING id", {}
    )
    yield
    ids = [row["id"] for row in rows]
    engine_tenancy.platform.fetch("UPDATE tenants SET state = 'active' WHERE id = ANY(%(ids)s)", {"ids": ids})


@pytest.mark.usefixtures("alone")
def test_an_operator_verifies_every_tenant_and_hears_whose_database_has_a_gap(
    make_context: MakeContext,
    prepared: tuple[Settings, Prepared],
    cluster: Cluster,
    engine_tenancy: Tenancy,
    make_tenant: Callable[..., UUID],
) -> None:
    sound, damaged = make_tenant("dedicated"), make_tenant("dedicated")
    name = conninfo_to_dict(engine_tenancy.record(damaged).dsn or "")["dbname"]
    dsn = psycopg.conninfo.make_conninfo(cluster.postgres.superuser_dsn, dbname=name)
    view = "CREATE VIEW titles AS SELECT tenant_id, title FROM documents"
    with broken(dsn, view, "DROP VIEW titles"):
        context, payload = make_context("platform.verify_isolation", prepared[1].operator_tenant_id, {}, seconds=600)
        found = verify_all(context, payload)
    mine = {each["tenant_id"]: [check["name"] for check in each["checks"]] for each in found["gaps"]}

    assert found["isolated"] is False
    assert mine[str(damaged)] == ["database.views"]
    assert str(sound) not in mine
    assert (found["tenants"], found["tenants_with_gaps"]) == (2, 1)


def test_no_other_tenant_may_verify_all(make_context: MakeContext, pooled_tenant: UUID) -> None:
    context, payload = make_context("platform.verify_isolation", pooled_tenant, {})
    with pytest.raises(Permanent, match="operator"):
        verify_all(context, payload)

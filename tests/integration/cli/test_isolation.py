"""`nexus tenants verify-isolation`: 0 when nothing is found, 1 with the gap's name, 2 when it cannot be asked."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tenancy.access import Tenancy
from tests.conftest import Cluster
from tests.integration.cli.conftest import Nexus
from tests.integration.web.engine import worker


@pytest.fixture
def verified(engine_tenancy: Tenancy, acme: UUID) -> Iterator[UUID]:
    """`acme` with a worker that verifies it."""
    with worker(engine_tenancy, acme, "tenant.verify_isolation"):
        yield acme


def test_a_sound_tenant_ends_with_0_and_a_line_for_each_check(nexus: Nexus, verified: UUID) -> None:
    outcome = nexus("tenants", "verify-isolation", "Acme")

    assert outcome.code == 0, outcome.err
    assert len(outcome.out.splitlines()) > 30
    assert "0 failed" in outcome.err


def test_a_gap_is_named_and_ends_with_1(
    nexus: Nexus, verified: UUID, cluster: Cluster, engine_tenancy: Tenancy
) -> None:
    name = conninfo_to_dict(engine_tenancy.record(verified).dsn or "")["dbname"]
    dsn = psycopg.conninfo.make_conninfo(cluster.postgres.superuser_dsn, dbname=name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE invoices NO FORCE ROW LEVEL SECURITY")
        try:
            outcome = nexus("tenants", "verify-isolation", str(verified), "--json")
        finally:
            connection.execute("ALTER TABLE invoices FORCE ROW LEVEL SECURITY")

    assert outcome.code == 1
    failed = [check["found"] for check in outcome.json["checks"] if check["result"] == "failed"]
    assert failed == ["table invoices: row-level security is not forced on its owner"]


@pytest.mark.parametrize("arguments", [(), ("Acme", "--all"), ("Nobody",), ("--all",)])
def test_what_cannot_be_asked_is_one_line_and_2(nexus: Nexus, acme: UUID, arguments: tuple[str, ...]) -> None:
    outcome = nexus("tenants", "verify-isolation", *arguments)

    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.strip()

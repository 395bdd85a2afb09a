"""`nexus audit`: listing and verifying, for a tenant's people and for operators."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from config.settings import Settings
from tenancy.access import Tenancy
from tenancy.audit.sealing import seal_waiting
from tenancy.database import Database
from tests.integration.cli.conftest import Account, Nexus
from tests.integration.web.engine import worker


def seal(engine_tenancy: Tenancy) -> None:
    while seal_waiting(engine_tenancy.platform):
        pass


def test_a_tenants_audit_is_listed_and_verified(nexus: Nexus, acme: UUID, engine_tenancy: Tenancy) -> None:
    listed = nexus("audit", "list", "--action", "api_key.created", "--json")
    assert (listed.code, [line["action"] for line in listed.lines]) == (0, ["api_key.created"])
    assert "tenant.created" in nexus("audit", "list").out
    seal(engine_tenancy)
    verified = nexus("audit", "verify", "--json")
    assert (verified.code, verified.json["ok"], verified.json["waiting"]) == (0, True, 0)
    head = verified.json["head"]
    assert nexus("audit", "verify", "--head", head).out.endswith(f"head {head}\n")


def test_a_chain_that_was_tampered_with_ends_with_1(
    nexus: Nexus, acme: UUID, engine_tenancy: Tenancy, settings: Settings
) -> None:
    seal(engine_tenancy)
    owner = Database(settings.owner_dsn, pool_size=1, application_name="test")
    with owner.connect() as connection, connection.transaction():
        connection.execute("ALTER TABLE audit_entries NO FORCE ROW LEVEL SECURITY")
        connection.execute(
            "UPDATE audit_entries SET actor = 'nobody' WHERE tenant_id = %s AND action = 'tenant.created'", (acme,)
        )
        connection.execute("ALTER TABLE audit_entries FORCE ROW LEVEL SECURITY")
    owner.dispose()
    found = nexus("audit", "verify")
    assert found.code == 1
    assert found.out.startswith("altered at 1: ")


@pytest.mark.parametrize("head", ["x", "1:2", "-1:" + "0" * 64, "1:" + "g" * 64])
def test_a_head_that_is_none_is_refused_in_one_line(nexus: Nexus, acme: UUID, head: str) -> None:
    refused = nexus("audit", "verify", "--head", head)
    assert refused.code == 2
    assert "SEQUENCE:HASH" in refused.err


def test_the_platforms_audit_is_for_operators(
    nexus: Nexus, logged_in: Account, web_tenancy: Tenancy, engine_tenancy: Tenancy
) -> None:
    refused = nexus("audit", "verify", "--platform")
    assert (refused.code, refused.out) == (2, "")
    assert "[permission_denied]" in refused.err
    web_tenancy.platform.fetch("UPDATE users SET is_operator = true WHERE id = %(id)s", {"id": logged_in.id})
    seal(engine_tenancy)
    assert nexus("audit", "verify", "--platform").code == 0
    logins = nexus("audit", "list", "--platform", "--resource", f"user:{logged_in.id}", "--json").lines
    assert {"login.succeeded", "user.registered"} <= {line["action"] for line in logins}


def test_an_operator_has_the_platforms_own_chain_in_a_file_that_verifies(
    nexus: Nexus, operator: UUID, engine_tenancy: Tenancy, tmp_path: Path
) -> None:
    path = tmp_path / "platform.ndjson"
    with worker(engine_tenancy, operator, "platform.audit_export"):
        seal(engine_tenancy)
        outcome = nexus("audit", "export", "--platform", "--output", str(path))
    assert outcome.code == 0, outcome.err
    assert nexus("audit", "verify", str(path)).code == 0

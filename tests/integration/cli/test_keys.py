"""`nexus keys`: rotate a tenant's data key; for operators, master keys."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from config.settings import Settings
from tenancy.access import Tenancy
from tests.integration.cli.conftest import Account, Nexus
from tests.integration.web.engine import worker


@pytest.fixture
def operator(acme: UUID, account: Account, web_tenancy: Tenancy, engine_tenancy: Tenancy) -> Iterator[UUID]:
    """The account as an operator and member of the operator's tenant, whose jobs are worked on."""
    platform = engine_tenancy.platform
    platform.fetch("UPDATE users SET is_operator = true WHERE id = %(id)s", {"id": account.id})
    tenant_id = platform.fetch("UPDATE tenants SET state = 'active' WHERE is_operator RETURNING id", {})[0]["id"]
    where = {"tenant": tenant_id, "user": account.id}
    platform.fetch("INSERT INTO memberships (tenant_id, user_id) VALUES (%(tenant)s, %(user)s)", where)
    platform.fetch(
        "INSERT INTO membership_roles (tenant_id, user_id, role_id)"
        " SELECT %(tenant)s, %(user)s, id FROM roles WHERE tenant_id = %(tenant)s AND name = 'owner'", where,
    )  # fmt: skip
    engine_tenancy.directory.forget(tenant_id)
    with worker(engine_tenancy, tenant_id, "system.rewrap_keys"):
        yield tenant_id


def test_a_tenants_key_is_rotated(nexus: Nexus, acme: UUID, engine_tenancy: Tenancy) -> None:
    with worker(engine_tenancy, acme, "tenant.rotate_keys"):
        outcome = nexus("keys", "rotate", str(acme), "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["result"]["version"] == 2


def test_an_operator_rewraps_and_sees_what_is_in_use(nexus: Nexus, operator: UUID, settings: Settings) -> None:
    outcome = nexus("keys", "rewrap", "--json")
    assert outcome.code == 0, outcome.err
    active = settings.master_key_ring[0][0]
    assert outcome.json["result"]["active"] == active
    heading, *rows = [line.split("\t") for line in nexus("keys", "status").out.splitlines()]
    shown = {row[0]: dict(zip(heading, row, strict=True)) for row in rows}
    assert (shown[active]["state"], shown[active]["removable"]) == ("active", "")
    assert {item["id"] for item in nexus("keys", "status", "--json").json["items"]} == set(shown)


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("command", [("status",), ("rewrap",), ("rotate", "nobody")])
def test_what_one_may_not_do_is_one_line_and_exit_code_2(nexus: Nexus, command: tuple[str, ...]) -> None:
    outcome = nexus("keys", *command)
    assert (outcome.code, outcome.out) == (2, "")
    assert len(outcome.err.splitlines()) == 1

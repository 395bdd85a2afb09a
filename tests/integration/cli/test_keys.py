"""`nexus keys`: rotate a tenant's data key; for operators, master keys."""

from __future__ import annotations

from uuid import UUID

import pytest

from config.settings import Settings
from tenancy.access import Tenancy
from tests.integration.cli.conftest import Nexus
from tests.integration.web.engine import worker


def test_a_tenants_key_is_rotated(nexus: Nexus, acme: UUID, engine_tenancy: Tenancy) -> None:
    with worker(engine_tenancy, acme, "tenant.rotate_keys"):
        outcome = nexus("keys", "rotate", str(acme), "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["result"]["version"] == 2


def test_an_operator_rewraps_and_sees_what_is_in_use(
    nexus: Nexus, operator: UUID, engine_tenancy: Tenancy, settings: Settings
) -> None:
    with worker(engine_tenancy, operator, "system.rewrap_keys"):
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

"""`nexus tenants` with a provisioned tenant at the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import UUID

import pytest

from tenancy.access import Tenancy
from tests.integration.cli.conftest import Account, Nexus
from tests.integration.web.engine import run

_WAITING = (
    "SELECT id, tenant_id FROM jobs WHERE kind = 'tenant.provision' AND state = 'queued' AND created_at > %(since)s"
)


@pytest.fixture
def provisioning(engine_tenancy: Tenancy) -> Iterator[None]:
    """A worker for tenants that are made from now on."""
    since = engine_tenancy.platform.fetch("SELECT now() AS now", {})[0]["now"]
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            for row in engine_tenancy.platform.fetch(_WAITING, {"since": since}):
                run(engine_tenancy, row["tenant_id"], row["id"])

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_a_created_tenant_is_active_when_the_command_ends(nexus: Nexus, logged_in: Account, provisioning: None) -> None:
    outcome = nexus("tenants", "create", "Acme", "--tier", "pooled", "--json")

    assert outcome.code == 0, outcome.err
    assert (outcome.json["name"], outcome.json["tier"], outcome.json["state"]) == ("Acme", "pooled", "active")
    assert outcome.err.splitlines()[-1].startswith("tenant.provision succeeded")


def test_a_new_tenant_can_be_logged_in_to_and_used(nexus: Nexus, logged_in: Account, provisioning: None) -> None:
    nexus("tenants", "create", "Acme", "--tier", "pooled")

    assert nexus("login", "--email", logged_in.email, "--tenant", "Acme").code == 0
    assert nexus("jobs", "submit", "system.ping").code == 0


def test_tenants_are_listed_and_shown_by_name_and_id(nexus: Nexus, acme: UUID) -> None:
    listed = nexus("tenants", "list", "--json").json["items"]

    assert [tenant["id"] for tenant in listed] == [str(acme)]
    assert nexus("tenants", "show", "Acme", "--json").json == nexus("tenants", "show", str(acme), "--json").json
    assert nexus("tenants", "list").out.splitlines()[0].split("\t")[:2] == ["id", "name"]


def test_another_users_tenant_is_not_found(nexus: Nexus, logged_in: Account, pooled_tenant: UUID) -> None:
    outcome = nexus("tenants", "show", str(pooled_tenant))

    assert outcome.code == 2
    assert "[not_found]" in outcome.err


def test_nobody_is_asked_to_log_in_first(nexus: Nexus) -> None:
    outcome = nexus("tenants", "list")

    assert outcome.code == 2
    assert "nexus login" in outcome.err

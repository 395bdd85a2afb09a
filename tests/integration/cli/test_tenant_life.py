"""`nexus tenants` over a whole life: suspended, resumed, exported to a file, restored from it, deleted, taken back."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from tenancy.access import Tenancy
from tests.integration.cli.conftest import Account, Nexus
from tests.integration.web.engine import run

_WAITING = "SELECT id, tenant_id FROM jobs WHERE left(kind, 7) = 'tenant.' AND state = 'queued' AND tenant_id = %(id)s"


@pytest.fixture
def working(engine_tenancy: Tenancy, acme: UUID) -> Iterator[None]:
    """A worker for the tenant's life."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            for row in engine_tenancy.platform.fetch(_WAITING, {"id": acme}):
                run(engine_tenancy, row["tenant_id"], row["id"])

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("logged_in", "working", "acme")
def test_a_tenant_goes_through_its_life(nexus: Nexus, tmp_path: Path) -> None:
    def state() -> str:
        return str(nexus("tenants", "show", "Acme", "--json").json["state"])

    assert nexus("tenants", "suspend", "Acme").code == 0
    assert state() == "suspended"
    assert nexus("tenants", "resume", "Acme").code == 0
    assert state() == "active"
    file = tmp_path / "acme.zip"
    outcome = nexus("tenants", "export", "Acme", "--output", str(file), "--json")
    assert outcome.code == 0, outcome.err
    assert "manifest.json" in zipfile.ZipFile(file).namelist()
    assert file.stat().st_size == outcome.json["result"]["bytes"]
    restored = nexus("tenants", "restore", "Acme", "--file", str(file), "--json")
    assert restored.code == 0, restored.err
    assert nexus("tenants", "delete", "Acme", "--yes").code == 0
    assert state() == "deleting"
    assert nexus("tenants", "undelete", "Acme").code == 0
    assert state() == "active"


@pytest.mark.usefixtures("logged_in", "acme")
def test_what_cannot_be_meant_is_said_in_one_line(nexus: Nexus, logged_in: Account, tmp_path: Path) -> None:
    taken = tmp_path / "taken.zip"
    taken.write_bytes(b"x")
    for command in (
        ("restore", "Acme"),
        ("restore", "Acme", "--file", str(tmp_path / "none.zip")),
        ("restore", "Acme", "--archive", "no-id"),
        ("export", "Acme", "--output", str(taken)),
        ("suspend", "Nobody"),
        ("undelete", "Acme"),
        ("change-tier", "Acme", "--tier", "golden"),
    ):
        outcome = nexus("tenants", *command)
        assert outcome.code == 2, (command, outcome.err)
        assert outcome.out == ""
    assert taken.read_bytes() == b"x"

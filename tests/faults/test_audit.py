"""Dispatchers that are killed while they seal, and writers that die in mid-change: the chain holds, and tells the truth."""

from __future__ import annotations

import subprocess
import sys
from uuid import UUID

import pytest

from bench.engine import Engine, until
from config.settings import Settings
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.audit.recording import noted
from tenancy.audit.verifying import verify
from tenancy.scopes import tenant_scope

pytestmark = pytest.mark.faults

ENTRIES, AT_ONCE = 3000, 200

_DIES = """
import os, signal, sys
from uuid import UUID
from tenancy.audit import record
from tenancy.database import Database
from tenancy.scopes import tenant_scope

database = Database(sys.argv[1], pool_size=1, application_name="dying")
with database.session(tenant_scope(UUID(sys.argv[2]))) as session:
    record(session, "thing.updated", "thing:never")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_dispatchers_killed_while_they_seal_leave_one_chain_that_holds(engine: Engine, tenancy: Tenancy) -> None:
    chain = new_id()
    append(tenancy, chain)
    for part in (1, 2):
        sealing = engine.dispatcher()
        until(lambda part=part: sealed(tenancy, chain) > part * 700, 60, "some entries sealed", pause=0.001)  # type: ignore[misc]
        engine.kill(sealing)
        assert holds(tenancy, chain) < ENTRIES
    for _ in range(2):
        engine.dispatcher()
    until(lambda: sealed(tenancy, chain) == ENTRIES, 120, "all entries sealed")
    assert holds(tenancy, chain) == ENTRIES


def test_a_change_whose_process_dies_before_it_is_done_is_not_noted(settings: Settings, tenancy: Tenancy) -> None:
    chain = new_id()
    died = subprocess.run([sys.executable, "-c", _DIES, settings.web_dsn, str(chain)], check=False)
    assert died.returncode == -9
    left = "SELECT 1 FROM audit_entries WHERE tenant_id = %(t)s UNION ALL SELECT 1 FROM audit_unsealed WHERE tenant_id = %(t)s"
    assert tenancy.platform.fetch(left, {"t": chain}) == []


def append(tenancy: Tenancy, chain: UUID) -> None:
    scope = tenant_scope(chain)
    for first in range(0, ENTRIES, AT_ONCE):
        several = [noted(scope, "thing.updated", f"thing:{number}") for number in range(first, first + AT_ONCE)]
        tenancy.platform.fetch_many(several, scope)


def sealed(tenancy: Tenancy, chain: UUID) -> int:
    found = tenancy.platform.fetch("SELECT count(*) AS seals FROM audit_seals WHERE tenant_id = %(t)s", {"t": chain})
    return int(found[0]["seals"])


def holds(tenancy: Tenancy, chain: UUID) -> int:
    """How many entries the chain has, each of which holds."""
    after: int | None = 0
    checked = 0
    while after is not None:
        verdict = verify(tenancy.platform, chain, after=after)
        assert verdict.faults == ()
        checked, after = checked + verdict.checked, verdict.next
    return checked

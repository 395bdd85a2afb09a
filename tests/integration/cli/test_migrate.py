"""`nexus migrate`: status, run, pause, resume and drift, for operators."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from tenancy.access import Tenancy
from tenancy.fleet import newest
from tests.integration.cli.conftest import Nexus
from tests.integration.web.engine import worker


@pytest.fixture(autouse=True)
def working(operator: UUID, engine_tenancy: Tenancy) -> Iterator[None]:
    """A worker for what operators start, and no unfinished wave."""
    end = "UPDATE fleet_waves SET state = 'finished', finished_at = now() WHERE state <> 'finished'"
    engine_tenancy.platform.fetch(end, {})  # type: ignore[arg-type]  # our own words
    with worker(engine_tenancy, operator, "fleet.migrate", "fleet.drift"):
        yield
    engine_tenancy.platform.fetch(end, {})  # type: ignore[arg-type]


def test_a_wave_is_run_and_shown(nexus: Nexus, acme: UUID) -> None:
    outcome = nexus("migrate", "run", "--canary", str(acme), "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["result"]["state"] == "finished"
    assert nexus("migrate", "status", "--json").json["wave"]["canaries"] == [str(acme)]
    text = nexus("migrate", "status").out
    assert f"newest {newest()}: " in text
    assert "pooled" in text
    assert "finished" in text


def test_what_cannot_be_done_is_one_line_and_exit_code_2(nexus: Nexus) -> None:
    nexus("migrate", "run")
    for command in (("pause",), ("resume",), ("run", "--canary", "nobody"), ("drift", "nobody")):
        outcome = nexus("migrate", *command)
        assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (2, "", 1), command


def test_drift_is_none_where_nobody_has_meddled(nexus: Nexus, acme: UUID) -> None:
    outcome = nexus("migrate", "drift", str(acme))
    assert outcome.code == 0, outcome.out + outcome.err
    assert outcome.out.splitlines()[-1] == "1 compared, 0 behind, 0 not readable: 0 differences"

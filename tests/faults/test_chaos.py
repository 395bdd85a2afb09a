"""The promise of the engine, on a whole platform driven over HTTP: the short form of `make chaos`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.chaos.plan import SHORT, Plan, steps
from bench.chaos.run import ENVIRONMENT, Chaos, totals
from bench.chaos.screen import Lines
from bench.chaos.up import COMMAND
from cli.processes import PlatformProcess


@pytest.mark.faults
@pytest.mark.acceptance
@pytest.mark.timeout(300)
def test_five_hundred_jobs_survive_ten_kills_a_flush_a_dead_leader_and_a_restart_of_the_database(
    tmp_path: Path, platform_broker: Callable[[], dict[str, str]]
) -> None:
    plan = Plan(500, 2, steps(10, SHORT), pause=2.5)
    variables = {**ENVIRONMENT, **platform_broker()}
    with PlatformProcess(tmp_path / "home", environment=variables, command=COMMAND) as platform:
        tally = Chaos(platform, plan, Lines(totals(plan))).run()
    print(tally)
    assert tally.problems == []
    assert tally.slow == []
    assert (tally.submitted, tally.states["succeeded"]) == (500, 500)
    assert tally.messages == tally.roles["message"] > 150
    assert tally.children == 3 * tally.roles["parent"] > 0
    assert tally.kills.total() == 10
    assert tally.faults.total() == 3
    assert tally.hits > 0
    assert tally.looks > 0

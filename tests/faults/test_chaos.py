"""The promise of the engine, on a whole platform driven over HTTP: kills and a flush lose nothing and repeat nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.chaos import Chaos, Plan
from bench.victims import POOL_PROCESS, WORKER_CPU, WORKER_IO
from cli.processes import PlatformProcess

KILLS = (
    WORKER_IO,
    POOL_PROCESS,
    WORKER_CPU,
    WORKER_IO,
    POOL_PROCESS,
    WORKER_IO,
    WORKER_CPU,
    POOL_PROCESS,
    WORKER_IO,
    WORKER_CPU,
)


@pytest.mark.faults
@pytest.mark.acceptance
@pytest.mark.timeout(240)
def test_five_hundred_jobs_survive_ten_kills_and_a_flushed_broker(
    tmp_path: Path, platform_broker: Callable[[], dict[str, str]]
) -> None:
    variables = {"NEXUS_LOG_LEVEL": "warning", **platform_broker()}
    with PlatformProcess(tmp_path / "home", environment=variables) as platform:
        tally = Chaos(platform, Plan(500, KILLS), print).run()
    assert tally.problems == []
    assert (tally.succeeded, tally.messages) == (500, 250)
    assert tally.kills.total() == 10
    assert tally.flushes == 1
    assert tally.jobs_hit > 0

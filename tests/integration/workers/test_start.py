"""Programs that cannot work end at once and say why in a line, whichever framework runs them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from bench.engine import Engine
from config.settings import Settings

Start = Callable[[Engine, Path, dict[str, str]], Popen[bytes]]

PROGRAMS: dict[str, Start] = {
    "dispatcher": lambda engine, _, variables: engine.dispatcher(**variables),
    "worker": lambda engine, _, variables: engine.worker("billing", **variables),
    "beat": lambda engine, folder, variables: engine.beat(folder / "schedule", **variables),
    "flower": lambda engine, _, variables: engine.start("flower", (sys.executable, "-m", "workers.flower"), variables),
}
WITH_A_DATABASE = ("dispatcher", "worker")


@pytest.fixture
def engine(settings: Settings, tmp_path: Path) -> Iterator[Engine]:
    """Programs of the run's platform."""
    with Engine(settings, tmp_path / "log") as running:
        yield running


def ended(engine: Engine, folder: Path, name: str, **variables: str) -> tuple[int, str, str]:
    """The exit code, what was said last, and all that was said. As root, Celery warns first."""
    code = PROGRAMS[name](engine, folder, variables).wait(60)
    log = engine.log(name)
    return code, log.strip().splitlines()[-1], log


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_setting_that_cannot_be_read_ends_a_program_with_2(engine: Engine, tmp_path: Path, name: str) -> None:
    code, said, log = ended(engine, tmp_path, name, NEXUS_LEASE_SECONDS="soon")
    assert (code, said.partition(":")[0]) == (2, "NEXUS_LEASE_SECONDS")
    assert "Traceback" not in log


@pytest.mark.parametrize("name", WITH_A_DATABASE)
def test_an_account_that_policies_do_not_bind_ends_a_program_with_2(
    engine: Engine, settings: Settings, tmp_path: Path, name: str
) -> None:
    code, said, log = ended(engine, tmp_path, name, DATABASE_ENGINE_URL=settings.owner_dsn)
    assert (code, said.partition(":")[0]) == (2, "DATABASE_ENGINE_URL")
    assert "row-level security" in said
    assert "Traceback" not in log


@pytest.mark.parametrize("name", WITH_A_DATABASE)
def test_a_database_that_is_away_ends_a_program_with_1_so_that_it_is_started_again(
    engine: Engine, tmp_path: Path, name: str
) -> None:
    away = "postgresql://engine:very-secret@127.0.0.1:9/nothing"
    code, said, log = ended(engine, tmp_path, name, DATABASE_ENGINE_URL=away)
    assert (code, said.partition(":")[0]) == (1, "DATABASE_ENGINE_URL")
    assert "cannot be reached" in said
    assert "Traceback" not in log
    assert "very-secret" not in log

"""Telling our processes from others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from cli.embedded.process import RUN_ID_VARIABLE, ProcessRecord, carrying, end, keep

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], env={**os.environ, RUN_ID_VARIABLE: "this-run"}) as process:
        yield process
        process.kill()


def recorded(process: subprocess.Popen[bytes]) -> ProcessRecord:
    record = ProcessRecord.of("sleeper", process.pid)
    assert record is not None
    return record


def test_a_recorded_process_is_found(sleeper: subprocess.Popen[bytes]) -> None:
    found = recorded(sleeper).find()

    assert found is not None
    assert found.pid == sleeper.pid


def test_another_process_with_the_same_id_is_not_taken_for_ours(sleeper: subprocess.Popen[bytes]) -> None:
    record = recorded(sleeper)

    assert replace(record, started=record.started - 60).find() is None
    assert replace(record, command=("sleep", "61")).find() is None


def test_a_process_that_has_ended_is_not_found(sleeper: subprocess.Popen[bytes]) -> None:
    record = recorded(sleeper)
    sleeper.kill()

    assert ProcessRecord.of("sleeper", sleeper.pid) is None or sleeper.wait() is not None
    assert record.find() is None


def test_only_processes_of_the_run_carry_its_id(sleeper: subprocess.Popen[bytes]) -> None:
    assert [process.pid for process in carrying("this-run")] == [sleeper.pid]
    assert carrying("another-run") == []


def test_a_process_that_ignores_the_polite_signal_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        end([psutil.Process(process.pid)], ((signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0)))

        assert process.wait(1) == -signal.SIGKILL


def test_a_child_that_was_kept_is_reaped_by_who_ends_it() -> None:
    child = subprocess.Popen(["sleep", "60"])
    keep(child)

    end([psutil.Process(child.pid)])

    assert child.returncode == -signal.SIGTERM
    assert not psutil.pid_exists(child.pid)


def test_a_record_survives_being_written_down(sleeper: subprocess.Popen[bytes]) -> None:
    record = recorded(sleeper)

    assert ProcessRecord.parse(record.text()) == record
    assert ProcessRecord.parse(record.text()[:-1]) is None

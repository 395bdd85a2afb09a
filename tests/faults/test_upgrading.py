"""A rolling upgrade under load and its rollback: workers of two versions side by side, and nothing is lost or done twice."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from bench.engine import Engine, until
from bench.newer_code import newer, worker_command, write
from domain.identity.principals import system
from domain.ids import new_id
from jobs import waves
from jobs.submit import NewJob, submit
from tenancy import fleet
from tenancy.access import Tenancy
from tests.conftest import Cluster
from tests.faults.conftest import state
from tests.platforms import Platform, drop_databases, hold_behind, small_platform

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

ADD = 'op.execute("ALTER TABLE documents ADD COLUMN colour text")'
COMPLETION = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}


@pytest.fixture
def platform(cluster: Cluster, tmp_path: Path, worker_id: str, prepared: object) -> Iterator[Platform]:
    """See `tests.platforms`."""
    name = f"nexus_upgrade_{worker_id}_{new_id().hex[-8:]}"
    with small_platform(cluster, name, tmp_path / "home", NEXUS_LEASE_SECONDS=3) as found:
        yield found
        found.tenancy.dispose()
        drop_databases(found)


@contextmanager
def load(platform: Platform) -> Iterator[list[UUID]]:
    """Jobs of both tenants that read and write their databases, submitted for the length of the block."""
    submitted: list[UUID] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.25):
            for tenant_id in platform.tenants:
                who = system("test", tenant_id)
                submitted.append(submit(platform.tenancy, NewJob("search.query", {"q": "line"}, who)).id)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield submitted
    finally:
        stop.set()
        thread.join()


def version_of(tenancy: Tenancy, tenant_id: UUID) -> str | None:
    tenancy.directory.forget(tenant_id)
    return tenancy.record(tenant_id).schema_version


def ended(platform: Platform, jobs: list[UUID]) -> dict[str, int]:
    """How many of the jobs are in which state."""
    rows = platform.tenancy.platform.fetch(
        "SELECT state, count(*)::int AS jobs FROM jobs WHERE id = ANY(%(ids)s) GROUP BY state", {"ids": jobs}
    )
    return {row["state"]: row["jobs"] for row in rows}


def wait_for(platform: Platform, jobs: list[UUID]) -> None:
    until(lambda: ended(platform, jobs) == {"succeeded": len(jobs)}, 120, f"{len(jobs)} jobs")


def test_old_and_new_workers_serve_through_a_wave_and_old_ones_alone_after_a_rollback(
    platform: Platform, tmp_path: Path
) -> None:
    revision = f"t{new_id().hex[-10:]}"
    folder = write(tmp_path / "newer", revision, ADD)
    with Engine(platform.settings, tmp_path / "log") as engine:
        engine.dispatcher()
        engine.worker("search", "default", pool="threads", concurrency=4, name="old")
        with load(platform) as jobs:
            until(lambda: ended(platform, jobs).get("succeeded", 0) > 10, 90, "the old version at work")
            new: subprocess.Popen[bytes] = engine.start("new", worker_command(folder, "new"), {})
            with newer(folder):
                wave, submitted = waves.start(platform.tenancy, new_id(), [platform.dedicated], "user:x")
            until(lambda: state(platform.tenancy, submitted.id) == "succeeded", 120, "the wave")
            at_the_wave = len(jobs)
            until(lambda: len(jobs) > at_the_wave + 20, 60, "load after the wave")
            engine.stop(new)  # rolled back: only the old version is left, on the new schema
            rolled_back = len(jobs)
            until(lambda: len(jobs) > rolled_back + 20, 60, "load after the rollback")
        assert {version_of(platform.tenancy, each) for each in platform.tenants} == {revision}
        wait_for(platform, jobs)
    assert wave.target == revision
    attempts = platform.tenancy.platform.fetch(
        "SELECT DISTINCT attempt FROM jobs WHERE id = ANY(%(ids)s)", {"ids": jobs}
    )
    assert attempts == [{"attempt": 1}], "none failed on the way"
    assert fleet.behind(platform.tenancy.platform, []) == [], "the old version does not touch what the new one made"


def test_a_job_of_a_tenant_that_is_behind_is_put_off_until_its_wave_and_succeeds_then(
    platform: Platform, tmp_path: Path
) -> None:
    hold_behind(platform.settings, platform.tenancy, platform.dedicated, "0003")
    who = system("test", platform.dedicated)
    with Engine(platform.settings, tmp_path / "log") as engine:
        engine.dispatcher()
        engine.worker("completions", pool="threads", concurrency=2, name="worker")
        job_id = submit(platform.tenancy, NewJob("completion.create", COMPLETION, who)).id
        until(lambda: state(platform.tenancy, job_id) == "retrying", 60, "the job is put off")
        row = row_of(platform.tenancy, job_id)
        assert (row["error_code"], row["attempt"]) == ("tenant_upgrading", 0)
        (place,) = fleet.places(platform.tenancy.platform, [platform.dedicated])
        assert fleet.migrate(platform.tenancy, place) is None
        until(lambda: state(platform.tenancy, job_id) == "succeeded", 90, "the job after the wave")
    assert row_of(platform.tenancy, job_id)["attempt"] == 1


def row_of(tenancy: Tenancy, job_id: UUID) -> dict[str, object]:
    return tenancy.platform.fetch("SELECT error_code, attempt FROM jobs WHERE id = %(id)s", {"id": job_id})[0]

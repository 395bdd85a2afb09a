"""Waves over real tenants' databases: in order, once, stopped by what fails, and never without a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from bench.newer_code import ADD_COLUMN, newer, write
from cli.prepare import prepare_platform
from config.settings import Settings
from domain.errors import Conflict, IllegalTransition, InvalidPayload, NotFound, NotNow, Permanent
from domain.identity.principals import system
from domain.ids import new_id
from jobs import waves
from tasks import fleet as handlers
from tasks.fleet import compare, migrate
from tenancy import fleet
from tenancy.access import Tenancy
from tenancy.bootstrap import ensure_template, prepare
from tenancy.database import Database
from tenancy.fleet import LOCK_TIMEOUT
from tenancy.migrations import head
from tenancy.provisioning import Provisioner
from tenancy.servers import pool_database, with_database
from tests.conftest import Cluster, claim_context, create_database, settings_for

MakeTenant = Callable[..., UUID]


@dataclass
class Fleet:
    """A platform of its own with three dedicated tenants and two pooled ones, all at our newest revision."""

    settings: Settings
    tenancy: Tenancy
    dedicated: list[UUID]
    pooled: list[UUID]
    folder: Path
    stack: ExitStack
    claimed: dict[UUID, Any] = field(default_factory=dict)

    def release(self, body: str = ADD_COLUMN) -> str:
        """A newer version of the code is deployed; returns its revision."""
        revision = f"t{new_id().hex[-10:]}"
        self.stack.enter_context(newer(write(self.folder / revision, revision, body)))
        return revision

    def start(self, *canaries: UUID) -> tuple[waves.Wave, UUID]:
        wave, submitted = waves.start(self.tenancy, new_id(), canaries, "user:x")
        return wave, submitted.id

    def run(self, job_id: UUID) -> Any:
        """The driving job, as a worker would run it; the same attempt again, if it ran before."""
        if job_id not in self.claimed:
            self.claimed[job_id] = claim_context(self.tenancy, job_id, system("operator", self.operator))
        return migrate(*self.claimed[job_id])

    @property
    def operator(self) -> UUID:
        found: UUID = self.tenancy.platform.fetch("SELECT id FROM tenants WHERE is_operator", {})[0]["id"]
        return found

    @property
    def wave(self) -> waves.Wave:
        found = waves.latest(self.tenancy.platform)
        assert found is not None
        return found

    def versions(self) -> dict[UUID, str]:
        rows = self.tenancy.platform.fetch("SELECT id, schema_version FROM tenants", {})
        return {row["id"]: row["schema_version"] for row in rows if row["schema_version"]}

    def columns(self, database: str) -> set[str]:
        with psycopg.connect(with_database(self.settings, database)) as connection:
            rows = connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'documents'"
            )
            return {row[0] for row in rows}


@pytest.fixture
def ships(cluster: Cluster, tmp_path: Path, worker_id: str, prepared: object) -> Iterator[Fleet]:
    """See `Fleet`. Its operator's tenant is pooled and active."""
    import fcntl

    from tests.faults.conftest import make_tenant

    name = f"nexus_fleet_{worker_id}_{new_id().hex[-8:]}"
    create_database(cluster, name)
    settings = settings_for(cluster, name, tmp_path / "home", NEXUS_DEFAULT_TIER="pooled")
    with (cluster.home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = prepare(settings)
    tenancy = Tenancy(settings, "engine")
    saga = Provisioner(settings, tenancy, made.operator_tenant_id)
    for _, step in saga.steps():
        step()
    saga.close()
    tenants = {
        tier: [make_tenant(settings, tenancy, tier=tier) for _ in range(count)]
        for tier, count in (("dedicated", 3), ("pooled", 2))
    }
    with ExitStack() as stack:
        yield Fleet(settings, tenancy, tenants["dedicated"], tenants["pooled"], tmp_path, stack)
    tenancy.dispose()


def database_of(tenant_id: UUID) -> str:
    return f"nexus_t_{tenant_id.hex}"


def test_a_fleet_that_is_current_is_known_to_be_without_a_connection_to_any_tenant(
    ships: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(fleet, "owners_database", lambda _tenancy, place: opened.append(place.database))
    _, job_id = ships.start()
    assert ships.run(job_id)["state"] == "finished"
    assert opened == []
    counted = {(row["tier"], row["tenants"], row["databases"]) for row in fleet.counts(ships.tenancy.platform)}
    assert counted == {("dedicated", 3, 3), ("pooled", 3, 1)}


def test_a_wave_migrates_every_database_once_the_canary_first_and_the_shared_one_last(
    ships: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision, order = ships.release(), []
    migrating = fleet.migrate
    monkeypatch.setattr(
        fleet, "migrate", lambda tenancy, place: order.append(place.database) or migrating(tenancy, place)
    )
    canary = ships.dedicated[1]
    wave, job_id = ships.start(canary)
    result = ships.run(job_id)
    assert (result["state"], result["databases"]) == ("finished", 4)
    assert order == [database_of(each) for each in (canary, ships.dedicated[0], ships.dedicated[2])] + [
        pool_database(ships.settings)
    ]
    assert set(ships.versions().values()) == {revision}
    assert all("colour" in ships.columns(database) for database in order)
    assert (ships.wave.id, ships.wave.state, ships.wave.databases) == (wave.id, "finished", 4)
    with ships.tenancy.session(ships.pooled[0]) as session:
        assert session.connection().exec_driver_sql("SELECT count(colour) FROM documents").scalar() == 0


def test_a_canary_that_fails_stops_the_wave_which_says_why_and_can_go_on_once_it_is_mended(ships: Fleet) -> None:
    revision = ships.release()
    first = ships.dedicated[0]
    with psycopg.connect(with_database(ships.settings, database_of(first))) as owner:
        owner.execute("ALTER TABLE documents ADD COLUMN colour integer")
    _, job_id = ships.start()
    with pytest.raises(Permanent) as raised:
        ships.run(job_id)
    assert raised.value.job_code == "wave_stopped"
    assert ships.wave.state == "stopped"
    assert ships.wave.reason == raised.value.detail
    assert f"canary: tenant {first}: migration_failed" in (ships.wave.reason or "")
    assert '"colour"' in (ships.wave.reason or "")
    assert [(each["tenant_id"], each["stage"]) for each in waves.failures(ships.tenancy.platform, ships.wave.id)] == [
        (first, "canary")
    ]
    assert revision not in ships.versions().values(), "nobody else was touched"
    assert "colour" not in ships.columns(pool_database(ships.settings))

    with psycopg.connect(with_database(ships.settings, database_of(first))) as owner:
        owner.execute("ALTER TABLE documents DROP COLUMN colour")
    resumed = waves.resume(ships.tenancy)
    assert resumed.job_id is not None
    assert ships.run(resumed.job_id)["state"] == "finished"
    assert set(ships.versions().values()) == {revision}
    assert waves.failures(ships.tenancy.platform, ships.wave.id) == []


def test_a_database_that_is_away_is_passed_over_and_told_in_the_end(
    ships: Fleet, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "PAUSES", (0.01,))
    revision = ships.release()
    away = ships.dedicated[1]
    superuser = psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True)
    shut: Callable[[bool], Any] = lambda allowed: superuser.execute(  # noqa: E731
        sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
            sql.Identifier(database_of(away)), sql.Literal(allowed)
        )
    )
    shut(False)
    _, job_id = ships.start()
    with pytest.raises(Permanent, match="1 databases could not be reached"):
        ships.run(job_id)
    late = {tenant for tenant, version in ships.versions().items() if version != revision}
    assert late == {away}
    assert [each["code"] for each in waves.failures(ships.tenancy.platform, ships.wave.id)] == ["unreachable"]
    shut(True)
    superuser.close()
    resumed = waves.resume(ships.tenancy)
    assert ships.run(resumed.job_id or new_id())["state"] == "finished"


def test_a_lock_that_is_held_is_waited_for_a_moment_at_a_time(ships: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try gives up after the timeout, so whoever queues behind it is not held up for longer; the next succeeds."""
    ships.release()
    assert LOCK_TIMEOUT == "2s"
    monkeypatch.setattr(fleet, "LOCK_TIMEOUT", "100ms")
    holder = psycopg.connect(with_database(ships.settings, database_of(ships.dedicated[0])))
    holder.execute("LOCK TABLE documents IN ACCESS SHARE MODE")
    tries: list[Any] = []
    migrating = fleet.migrate

    def tried(tenancy: Tenancy, place: fleet.Place) -> Any:
        tries.append(migrating(tenancy, place))
        holder.rollback()
        return tries[-1]

    monkeypatch.setattr(fleet, "migrate", tried)
    _, job_id = ships.start()
    assert ships.run(job_id)["state"] == "finished"
    holder.close()
    assert [each and each.code for each in tries[:2]] == ["lock_timeout", None]


def test_a_wave_that_is_paused_ends_after_the_database_that_it_is_at_and_goes_on_when_resumed(
    ships: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = ships.release()
    migrating = fleet.migrate

    def pausing(tenancy: Tenancy, place: fleet.Place) -> Any:
        failure = migrating(tenancy, place)
        waves.pause(ships.tenancy.platform)
        return failure

    monkeypatch.setattr(fleet, "migrate", pausing)
    _, job_id = ships.start()
    assert ships.run(job_id)["state"] == "paused"
    monkeypatch.undo()
    assert list(ships.versions().values()).count(revision) == 1
    assert waves.pause(ships.tenancy.platform).state == "paused"
    with pytest.raises(Conflict):
        ships.start()
    resumed = waves.resume(ships.tenancy)
    assert (resumed.state, resumed.job_id != job_id) == ("running", True)
    assert ships.run(job_id)["state"] == "superseded", "a wave has one driver"
    assert ships.run(resumed.job_id or new_id())["state"] == "finished"
    assert ships.wave.databases == 4
    with pytest.raises(IllegalTransition):
        waves.resume(ships.tenancy)
    with pytest.raises(IllegalTransition):
        waves.pause(ships.tenancy.platform)


def test_two_waves_at_once_are_refused_and_a_refused_one_leaves_no_job(ships: Fleet) -> None:
    ships.release()
    ships.start()
    with pytest.raises(Conflict):
        ships.start()
    jobs = ships.tenancy.platform.fetch("SELECT 1 FROM jobs WHERE kind = 'fleet.migrate'", {})
    assert len(jobs) == 1
    wave = ships.wave
    assert waves.resume(ships.tenancy) == wave, "it runs: its job is left alone"


def test_a_wave_whose_job_was_lost_gets_a_new_one(ships: Fleet) -> None:
    ships.release()
    _, job_id = ships.start()
    ships.tenancy.platform.fetch(
        "UPDATE jobs SET state = 'failed', finished_at = now() WHERE id = %(id)s", {"id": job_id}
    )
    resumed = waves.resume(ships.tenancy)
    assert resumed.job_id not in {None, job_id}
    assert ships.run(resumed.job_id or new_id())["state"] == "finished"


def test_a_canary_that_is_nobody_is_refused_by_its_place(ships: Fleet) -> None:
    with pytest.raises(InvalidPayload) as raised:
        ships.start(ships.dedicated[0], new_id())
    assert [error.pointer for error in raised.value.errors] == ["/canaries/1"]
    with pytest.raises(NotFound):
        waves.pause(ships.tenancy.platform)


def test_a_worker_of_the_version_before_leaves_a_wave_to_newer_ones(ships: Fleet) -> None:
    _, job_id = ships.start()
    ships.release()
    with pytest.raises(NotNow):
        ships.run(job_id)


def test_a_database_that_newer_code_has_migrated_is_left_alone_by_older_code(ships: Fleet) -> None:
    with newer(write(ships.folder / "next", "next1")):
        _, job_id = ships.start()
        ships.run(job_id)
    assert fleet.behind(ships.tenancy.platform, []) == []
    _, job_id = ships.start()
    assert ships.run(job_id)["databases"] == 0


def test_a_tenant_that_is_provisioned_during_a_wave_gets_the_new_schema(
    ships: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.faults.conftest import make_tenant

    revision = ships.release()
    with Database(ships.settings.owner_dsn, pool_size=1, application_name="test").connect() as connection:
        ensure_template(connection, ships.settings)
    migrating, made = fleet.migrate, []

    def meanwhile(tenancy: Tenancy, place: fleet.Place) -> Any:
        if not made:
            made.append(make_tenant(ships.settings, ships.tenancy, tier="dedicated"))
        return migrating(tenancy, place)

    monkeypatch.setattr(fleet, "migrate", meanwhile)
    _, job_id = ships.start()
    assert ships.run(job_id)["state"] == "finished"
    assert "colour" in ships.columns(database_of(made[0]))
    assert set(ships.versions().values()) == {revision}


def test_the_note_that_was_lost_with_a_killed_worker_is_written_by_the_next(ships: Fleet) -> None:
    revision = ships.release()
    place = fleet.behind(ships.tenancy.platform, [])[0]
    assert fleet.migrate(ships.tenancy, place) is None
    ships.tenancy.platform.fetch(
        "UPDATE tenants SET schema_version = '0001' WHERE id = %(id)s", {"id": place.tenant_id}
    )
    assert fleet.migrate(ships.tenancy, place) is None
    assert ships.versions()[place.tenant_id] == revision


def test_drift_is_told_part_by_part(ships: Fleet, make_context: object) -> None:
    bent = ships.dedicated[0]
    with psycopg.connect(with_database(ships.settings, database_of(bent))) as owner:
        for statement in (
            "ALTER TABLE documents ADD COLUMN stray text", "DROP INDEX ix_documents_language",
            "DROP POLICY tenant_rows ON invoices", "ALTER TABLE payments NO FORCE ROW LEVEL SECURITY",
            "GRANT SELECT ON documents TO PUBLIC", "DROP TABLE search_results", "CREATE VIEW leak AS SELECT * FROM documents",
        ):  # fmt: skip
            owner.execute(statement)  # type: ignore[arg-type]  # our own words
    found = drift(ships)
    assert found["databases"] == 4
    assert {each["tenant_id"] for each in found["items"]} == {str(bent)}
    told = {(each["part"], each["name"], each["what"]) for each in found["items"]}
    assert told == {
        ("column", "documents.stray", "extra"), ("index", "documents.ix_documents_language", "missing"),
        ("policy", "invoices.tenant_rows", "missing"), ("table", "payments", "changed"),
        ("grant", "documents.PUBLIC", "extra"), ("table", "search_results", "missing"), ("table", "leak", "extra"),
    }  # fmt: skip
    assert found["differences"] == len(told)
    assert drift(ships, ships.dedicated[1])["differences"] == 0


def test_a_database_that_is_behind_is_named_and_not_compared(ships: Fleet) -> None:
    ships.release()
    with Database(ships.settings.owner_dsn, pool_size=1, application_name="test").connect() as connection:
        ensure_template(connection, ships.settings)
    found = drift(ships)
    assert (found["databases"], found["differences"], len(found["behind"])) == (0, 0, 4)


def drift(ships: Fleet, *tenants: UUID) -> Any:
    """The report, by the job."""
    from jobs.submit import NewJob, submit

    who = system("operator", ships.operator)
    payload = {"tenant_ids": [str(each) for each in tenants], "requested_by": "user:x"}
    context, loaded = claim_context(ships.tenancy, submit(ships.tenancy, NewJob("fleet.drift", payload, who)).id, who)
    result = compare(context, loaded)
    left = ships.tenancy.platform.fetch(
        "SELECT datname FROM pg_database WHERE datname LIKE %(name)s", {"name": f"%{context.job_id.hex}%"}
    )
    assert left == [], "the copy of the template that was compared with"
    return result


def test_preparing_for_a_new_version_starts_a_wave_and_leaves_the_databases_to_it(ships: Fleet) -> None:
    before = head("tenant")
    assert waves.latest(ships.tenancy.platform) is None
    prepare_platform(ships.settings)
    assert waves.latest(ships.tenancy.platform) is None, "nobody is behind"
    revision = ships.release()
    for _ in range(2):
        prepare_platform(ships.settings)
        assert set(ships.versions().values()) == {before}
    assert "colour" not in ships.columns(pool_database(ships.settings))
    assert (ships.wave.state, ships.wave.started_by) == ("running", "system:prepare")
    assert ships.run(ships.wave.job_id or new_id())["state"] == "finished"
    assert set(ships.versions().values()) == {revision}

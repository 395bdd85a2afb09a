"""Workers that are killed in the middle of exporting, restoring, moving or erasing a tenant: another one ends what they began.

A step is stopped where it is by a lock that it needs: of a table, or of a gate that a trigger of the test's own puts before one
write to the platform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from bench.engine import Engine, until
from config.settings import Settings
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tenancy.holding import Hold
from tenancy.life import states
from tenancy.migrations import head
from tenancy.servers import platform_database, pool_database, with_database
from tests.conftest import Cluster
from tests.faults.conftest import held, make_tenant, someone_waits_for, state
from tests.tenants import objects_of, rows_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

GATE = 4_711


@dataclass(frozen=True)
class Life:
    """A pooled tenant with rows and objects, to which something happens."""

    settings: Settings
    tenancy: Tenancy
    superuser: str
    tenant_id: UUID
    operator_id: UUID

    def begin(self, kind: str, payload: dict[str, Any] | None = None) -> UUID:
        """Submit a job of the tenant's life."""
        in_tenant = self.operator_id if kind == "tenant.erase" else self.tenant_id
        return submit(self.tenancy, NewJob(kind, payload or {}, system("test", in_tenant))).id

    def row(self) -> dict[str, Any]:
        """What the platform says of it."""
        query = "SELECT state, tier, transition, settings FROM tenants WHERE id = %(id)s"
        self.tenancy.directory.forget(self.tenant_id)
        return self.tenancy.platform.fetch(query, {"id": self.tenant_id})[0]  # type: ignore[arg-type]

    def deleted(self) -> None:
        """Delete it, with its grace over."""
        hold = Hold(self.settings, self.tenancy, self.tenant_id)
        states.delete(hold, 0, "system:test")
        hold.close()


@pytest.fixture
def dispatcher(engine: Engine) -> None:
    """The one that leads, and does the chores."""
    engine.dispatcher()


@pytest.fixture
def lived(settings: Settings, tenancy: Tenancy, cluster: Cluster) -> Life:
    """A tenant that has something to lose."""
    tenant_id = make_tenant(settings, tenancy, "Living")
    operator = tenancy.platform.fetch("SELECT id FROM tenants WHERE is_operator", {})[0]["id"]
    with tenancy.session(tenant_id) as session:
        for number in range(20):
            session.connection().exec_driver_sql(
                "INSERT INTO documents (tenant_id, id, external_id, title, body) VALUES (%s, %s, %s, 'T', 'B')",
                (tenant_id, new_id(), str(number)),
            )
    schedule = new_id()
    sealed = tenancy.vault(tenant_id).seal(b'{"message": "hello"}', "schedules", "payload_sealed", schedule)
    tenancy.platform.fetch(
        "INSERT INTO schedules (id, tenant_id, name, kind, payload_sealed, cron, timezone, missed, principal, disabled_reason)"
        " VALUES (%(id)s, %(tenant)s, 'daily', 'system.ping', %(sealed)s, '0 6 * * *', 'UTC', 'skip', 'system:test', 'paused')",
        {"id": schedule, "tenant": tenant_id, "sealed": sealed},
        tenant_scope(tenant_id),
    )
    tenancy.bucket(tenant_id).put("reports/a.txt", b"alpha")
    return Life(settings, tenancy, cluster.postgres.superuser_dsn, tenant_id, operator)


@contextmanager
def at_table(life: Life, table: str, *, pooled: bool, mode: str = "SHARE") -> Iterator[int]:
    """Stop at the first write to a table, of the pool or of the platform; with `ACCESS EXCLUSIVE`, at the first look."""
    database = pool_database(life.settings) if pooled else platform_database(life.settings)
    statement = sql.SQL("LOCK TABLE {} IN " + mode + " MODE").format(sql.Identifier(table))  # type: ignore[arg-type]
    with held(life.superuser, statement, database) as pid:
        yield pid


@contextmanager
def at_write(life: Life, condition: str) -> Iterator[int]:
    """Stop at the update of the tenant's row that fulfils the condition."""
    database = platform_database(life.settings)
    with psycopg.connect(life.superuser, dbname=database, autocommit=True) as connection:
        connection.execute(
            f"CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS"  # type: ignore[arg-type]
            f" $$ BEGIN PERFORM pg_advisory_xact_lock({GATE}); RETURN NEW; END $$"
        )
        connection.execute(
            f"CREATE TRIGGER gate BEFORE UPDATE ON tenants FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION gate()"
        )  # type: ignore[arg-type]
        try:
            with held(life.superuser, f"SELECT pg_advisory_xact_lock({GATE})", database) as pid:  # type: ignore[arg-type]
                yield pid
        finally:
            connection.execute("DROP FUNCTION gate() CASCADE")


Stop = Callable[[Life], Any]

PLACES: dict[str, Stop] = {
    "the state's write": lambda life: at_write(life, "true"),
    "a look at the pool": lambda life: at_table(life, "documents", pooled=True, mode="ACCESS EXCLUSIVE"),
    "the rows of the pool": lambda life: at_table(life, "documents", pooled=True),
    "the rows of the platform": lambda life: at_table(life, "external_events", pooled=False),
    "the archive's row": lambda life: at_table(life, "tenant_archives", pooled=False),
    "the closing": lambda life: at_write(life, "NEW.transition ? 'closed' AND NOT OLD.transition ? 'closed'"),
    "the point of no return": lambda life: at_write(life, "NEW.transition ? 'destructive'"),
    "the switch": lambda life: at_write(life, "NEW.transition ? 'switched' AND NOT OLD.transition ? 'switched'"),
    "the counts": lambda life: at_write(life, "NEW.transition ? 'counts' AND NOT OLD.transition ? 'counts'"),
    "the keys": lambda life: at_table(life, "tenant_keys", pooled=False),
    "the end": lambda life: at_write(life, "NEW.state IN ('active', 'deleted')"),
}


def killed_at(engine: Engine, life: Life, place: str, kind: str, payload: dict[str, Any] | None = None) -> UUID:
    """Run the job with a worker that is killed at that place and another that comes then; returns when it has succeeded."""
    first = engine.worker("provisioning", concurrency=1, name="first")
    with PLACES[place](life) as pid:
        job_id = life.begin(kind, payload)
        until(lambda: someone_waits_for(life.superuser, pid), 120, f"{kind} at {place}")
        engine.kill(first)
    engine.worker("provisioning", concurrency=1, name="second")
    until(lambda: state(life.tenancy, job_id) == "succeeded", 180, f"{kind} on the other worker")
    attempts = life.tenancy.platform.fetch("SELECT attempt FROM jobs WHERE id = %(id)s", {"id": job_id})[0]["attempt"]
    assert attempts >= 2
    return job_id


@pytest.mark.usefixtures("dispatcher")
@pytest.mark.parametrize(("kind", "ends"), [("suspend", "suspended"), ("delete", "deleting")])
def test_a_change_of_state_is_made_by_the_next_worker(engine: Engine, lived: Life, kind: str, ends: str) -> None:
    killed_at(engine, lived, "the state's write", f"tenant.{kind}")
    assert lived.row()["state"] == ends


@pytest.mark.usefixtures("dispatcher")
@pytest.mark.parametrize("place", ["a look at the pool", "the archive's row"])
def test_an_export_is_begun_anew_and_there_is_one_archive(engine: Engine, lived: Life, place: str) -> None:
    job_id = killed_at(engine, lived, place, "tenant.export")
    found = lived.tenancy.platform.fetch("SELECT id, state FROM tenant_archives", {})
    assert [(row["id"], row["state"]) for row in found if row["id"] == job_id] == [(job_id, "ready")]
    assert [info.key for info in lived.tenancy.bucket(lived.tenant_id).list(".archives/")] == [
        f".archives/{job_id}.zip"
    ]


@pytest.mark.usefixtures("dispatcher")
@pytest.mark.parametrize(
    "place",
    ["the closing", "the point of no return", "the rows of the pool", "the rows of the platform", "the end"],
)  # fmt: skip
def test_a_restore_ends_whole_wherever_its_worker_died(engine: Engine, lived: Life, place: str) -> None:
    before, objects = rows_of(lived.tenancy, lived.tenant_id), objects_of(lived.tenancy, lived.tenant_id)
    exporter = engine.worker("provisioning", concurrency=1, name="exporter")
    archive = lived.begin("tenant.export")
    until(lambda: state(lived.tenancy, archive) == "succeeded", 60, "the export")
    engine.stop(exporter)
    with lived.tenancy.session(lived.tenant_id) as session:
        session.connection().exec_driver_sql("DELETE FROM documents")
    lived.tenancy.platform.fetch("DELETE FROM schedules", {})
    lived.tenancy.bucket(lived.tenant_id).delete("reports/a.txt")
    lived.tenancy.bucket(lived.tenant_id).put("later.txt", b"goes")

    killed_at(engine, lived, place, "tenant.restore", {"archive_id": str(archive)})
    assert (lived.row()["state"], lived.row()["transition"]) == ("active", None)
    assert rows_of(lived.tenancy, lived.tenant_id) == before
    assert objects_of(lived.tenancy, lived.tenant_id) == objects


@pytest.mark.usefixtures("dispatcher")
@pytest.mark.parametrize(
    "place", ["the closing", "a look at the pool", "the switch", "the rows of the pool", "the end"]
)
def test_a_move_ends_whole_wherever_its_worker_died(engine: Engine, lived: Life, place: str) -> None:
    before, old = rows_of(lived.tenancy, lived.tenant_id), lived.tenancy.record(lived.tenant_id)
    killed_at(engine, lived, place, "tenant.change_tier", {"tier": "dedicated"})
    assert (lived.row()["state"], lived.row()["tier"]) == ("active", "dedicated")
    assert rows_of(lived.tenancy, lived.tenant_id) == before
    with lived.tenancy.database(old) as pool, pool.session(tenant_scope(lived.tenant_id)) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar() == 0


@pytest.mark.usefixtures("dispatcher")
def test_a_move_waits_for_a_wave_that_is_at_the_shared_database(engine: Engine, lived: Life) -> None:
    before = rows_of(lived.tenancy, lived.tenant_id)
    engine.worker("provisioning", concurrency=1)
    with psycopg.connect(with_database(lived.settings, pool_database(lived.settings)), autocommit=True) as owner:
        owner.execute("UPDATE alembic_version SET version_num = 'newer'")
        try:
            job_id = lived.begin("tenant.change_tier", {"tier": "dedicated"})
            until(lambda: state(lived.tenancy, job_id) == "retrying", 60, "the move to be put off")
            assert (lived.row()["state"], lived.row()["tier"]) == ("active", "pooled")
        finally:
            owner.execute("UPDATE alembic_version SET version_num = %s", (head("tenant"),))
    until(lambda: state(lived.tenancy, job_id) == "succeeded", 120, "the move")
    assert rows_of(lived.tenancy, lived.tenant_id) == before


@pytest.mark.usefixtures("dispatcher")
@pytest.mark.parametrize(
    "place",
    ["a look at the pool", "the counts", "the rows of the pool", "the rows of the platform", "the keys", "the end"],
)
def test_an_erasure_ends_whole_wherever_its_worker_died(engine: Engine, lived: Life, place: str) -> None:
    old = lived.tenancy.record(lived.tenant_id)
    lived.deleted()
    killed_at(engine, lived, place, "tenant.erase", {"tenant_id": str(lived.tenant_id)})
    assert lived.row()["state"] == "deleted"
    found = lived.tenancy.platform.fetch(
        "SELECT statement FROM erasure_certificates WHERE tenant_id = %(id)s", {"id": lived.tenant_id}
    )
    assert len(found) == 1
    assert '"documents":20' in found[0]["statement"]
    with lived.tenancy.database(old) as pool, pool.session(tenant_scope(lived.tenant_id)) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar() == 0


@pytest.mark.usefixtures("dispatcher")
@pytest.mark.parametrize(("place", "kind", "ends"), [
    ("a look at the pool", "tenant.change_tier", ("active", "pooled")),
    ("the end", "tenant.change_tier", ("active", "dedicated")),
])  # fmt: skip
def test_a_move_that_outlives_every_worker_is_undone_or_finished(
    engine: Engine, lived: Life, place: str, kind: str, ends: tuple[str, str]
) -> None:
    before = rows_of(lived.tenancy, lived.tenant_id)
    first = engine.worker("provisioning", concurrency=1, name="first")
    with PLACES[place](lived) as pid:
        job_id = lived.begin(kind, {"tier": "dedicated"})
        lived.tenancy.platform.fetch("UPDATE jobs SET max_attempts = 1 WHERE id = %(id)s", {"id": job_id})
        until(lambda: someone_waits_for(lived.superuser, pid), 60, "the move")
        engine.kill(first)
    engine.worker("provisioning", concurrency=1, name="second")
    until(lambda: lived.row()["state"] == "active", 60, "the tenant's return")
    assert (lived.row()["state"], lived.row()["tier"]) == ends
    until(lambda: state(lived.tenancy, job_id) == "failed", 30, "the end of the job")
    assert rows_of(lived.tenancy, lived.tenant_id) == before


@pytest.mark.usefixtures("dispatcher")
def test_a_restore_that_is_given_up_half_way_is_never_active_until_one_succeeds(engine: Engine, lived: Life) -> None:
    before = rows_of(lived.tenancy, lived.tenant_id)
    worker = engine.worker("provisioning", concurrency=1, name="exporter")
    archive = lived.begin("tenant.export")
    until(lambda: state(lived.tenancy, archive) == "succeeded", 60, "the export")
    with PLACES["the rows of the platform"](lived) as pid:
        job_id = lived.begin("tenant.restore", {"archive_id": str(archive)})
        lived.tenancy.platform.fetch("UPDATE jobs SET max_attempts = 1 WHERE id = %(id)s", {"id": job_id})
        until(lambda: someone_waits_for(lived.superuser, pid), 60, "the restore")
        engine.kill(worker)
    engine.worker("provisioning", concurrency=1, name="second")
    until(lambda: lived.row()["state"] == "suspended", 60, "the settling")
    assert lived.row()["settings"]["failure"].startswith("worker_lost")
    resumed = lived.begin("tenant.resume")
    until(lambda: state(lived.tenancy, resumed) == "failed", 30, "the refusal")
    again = lived.begin("tenant.restore", {"archive_id": str(archive)})
    until(lambda: state(lived.tenancy, again) == "succeeded", 60, "the second restore")
    assert lived.row()["state"] == "active"
    assert rows_of(lived.tenancy, lived.tenant_id) == before

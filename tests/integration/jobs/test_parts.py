"""The jobs table in parts: which one a job stands in, what moves it, and that nobody gets round the policies by a part."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from domain.errors import Transient
from domain.ids import new_id
from jobs.control import cancel
from jobs.leases import _CLAIM, _PROGRESS, _RENEW, claim, hand_back
from jobs.outcomes import failed, record, succeeded
from jobs.queries import get
from tenancy.access import Tenancy
from tests.integration.jobs.conftest import dispatch, dispatch_and_claim, submit_pings

pytestmark = pytest.mark.usefixtures("quiet")

_PART: LiteralString = "SELECT tableoid::regclass::text AS part FROM jobs WHERE id = %(id)s"


def part_of(tenancy: Tenancy, job_id: UUID) -> str:
    return str(tenancy.platform.fetch(_PART, {"id": job_id})[0]["part"])


def test_a_job_leaves_the_live_part_when_it_ends(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    row, token = dispatch_and_claim(engine_tenancy, job_id)
    assert part_of(engine_tenancy, job_id) == "jobs_live"
    vault = engine_tenancy.vault(pooled_tenant)
    record(engine_tenancy.platform, [failed(job_id, token, row["kind"], Transient("x"), 1, vault, 0.0)])
    assert part_of(engine_tenancy, job_id) == "jobs_live"
    row, token = dispatch_and_claim(engine_tenancy, job_id)
    record(engine_tenancy.platform, [succeeded(job_id, token, row["kind"], None, vault)])
    month = get(engine_tenancy, pooled_tenant, job_id)["created_at"].strftime("%Y_%m")
    assert part_of(engine_tenancy, job_id) == f"jobs_finished_{month}"


def test_what_a_worker_does_with_a_dispatched_job_touches_no_index(
    engine_tenancy: Tenancy, pooled_tenant: UUID
) -> None:
    """PostgreSQL counts such updates as HOT: no entry in any index, and the space is free again without a vacuum."""
    submit_pings(engine_tenancy, pooled_tenant, 1)
    (picked,) = dispatch(engine_tenancy, 2)
    token = new_id()
    ours: dict[str, Any] = {"ids": [picked.id], "tokens": [token]}
    counted: LiteralString = """
        SELECT n_tup_upd AS updated, n_tup_hot_upd AS hot FROM pg_stat_xact_user_tables WHERE relname = 'jobs_live'
    """
    (before,), *_, (after,) = engine_tenancy.platform.fetch_many(
        [
            (counted, {}),
            (_CLAIM, {"ids": [picked.id], "attempts": [0], "token": token, "worker_id": new_id(), "lease": 15.0}),
            (_RENEW, {**ours, "lease": 15.0}),
            (_PROGRESS, {**ours, "done": [1], "total": [2], "messages": ["half"]}),
            (counted, {}),
        ]
    )
    assert {name: after[name] - before[name] for name in after} == {"updated": 3, "hot": 3}


def test_a_statement_prepared_while_the_queue_is_empty_reads_by_an_index(engine_tenancy: Tenancy) -> None:
    """Connections keep such a plan: reading the whole part would cost nothing now, and much when the queue is deep."""
    ours: dict[str, Any] = {"ids": [new_id() for _ in range(64)], "tokens": [new_id() for _ in range(64)]}
    claiming = {"ids": ours["ids"], "attempts": [0] * 64, "token": new_id(), "worker_id": new_id(), "lease": 15.0}
    for statement, parameters in ((_CLAIM, claiming), (_RENEW, {**ours, "lease": 15.0})):
        engine_tenancy.platform.fetch("DELETE FROM jobs", {})
        rows = engine_tenancy.platform.fetch(f"EXPLAIN {statement}", parameters)
        plan = "\n".join(row["QUERY PLAN"] for row in rows)
        # Which index it is depends on what autovacuum has counted by now.
        assert re.search(r"Index Scan (using|on) \w+", plan), plan
        assert "Seq Scan" not in plan


@contextmanager
def moving(tenancy: Tenancy, job_id: UUID) -> Iterator[psycopg.Connection[Any]]:
    """Someone else's transaction that has ended the job and not committed yet."""
    with tenancy.platform.connect() as connection, connection.transaction():
        connection.execute(
            "UPDATE jobs SET state = 'cancelled', token = NULL, finished_at = now(), expires_at = now() + interval '1 day'"
            " WHERE id = %s",
            (job_id,),
        )
        yield connection


def wait_until_blocked(connection: psycopg.Connection[Any]) -> None:
    """Until another transaction waits for this one."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    for _ in range(500):
        row = connection.execute(query).fetchone()
        if row is not None and row[0]:
            return
        connection.execute("SELECT pg_sleep(0.01)")
    raise TimeoutError("nobody waits")


@pytest.mark.parametrize("act", ["claim", "finish", "hand back", "cancel", "dispatch"])
def test_whoever_meets_a_job_on_its_way_to_another_part_finds_it_gone(
    engine_tenancy: Tenancy, pooled_tenant: UUID, act: str
) -> None:
    """PostgreSQL answers such a meeting with an error; the statement is run again and sees the finished job."""
    job_id, other = submit_pings(engine_tenancy, pooled_tenant, 2)
    platform, token, answers = engine_tenancy.platform, new_id(), []
    if act == "claim":
        dispatch(engine_tenancy, 2)
        items = [(job_id, 0), (other, 0)]
    elif act in {"finish", "hand back"}:
        _, token = dispatch_and_claim(engine_tenancy, job_id)

    def meet() -> None:
        if act == "claim":
            rows = claim(platform, items, token=token, worker_id=new_id(), lease_seconds=60)
            answers.append([row["id"] for row in rows] == [other])
        elif act == "finish":
            vault = engine_tenancy.vault(pooled_tenant)
            answers.append(record(platform, [succeeded(job_id, token, "system.ping", None, vault)]) == set())
        elif act == "hand back":
            hand_back(platform, [job_id], token)
            answers.append(get(engine_tenancy, pooled_tenant, job_id)["state"] == "cancelled")
        elif act == "cancel":
            answers.append(cancel(engine_tenancy, pooled_tenant, job_id)["state"] == "cancelled")
        else:
            answers.append([each.id for each in dispatch(engine_tenancy, 4)] == [other])

    thread = threading.Thread(target=meet)
    with moving(engine_tenancy, job_id) as mover:
        thread.start()
        wait_until_blocked(mover)
    thread.join(10)
    assert answers == [True]


def test_no_account_reaches_a_part_but_through_the_table(engine_tenancy: Tenancy, web_tenancy: Tenancy) -> None:
    parts: LiteralString = """
        SELECT c.relname, c.relrowsecurity,
               has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') AS reached
          FROM pg_class c WHERE c.relispartition AND c.relkind IN ('r', 'p')
    """
    for tenancy in (engine_tenancy, web_tenancy):
        rows = tenancy.platform.fetch(parts, {})
        assert len(rows) >= 6
        assert {(row["relrowsecurity"], row["reached"]) for row in rows} == {(True, False)}


def test_only_the_engine_turns_months(web_tenancy: Tenancy) -> None:
    for statement in ("SELECT make_job_months()", "SELECT drop_job_months()"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            web_tenancy.platform.fetch(statement, {})

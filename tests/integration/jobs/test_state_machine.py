"""The state machine under any interleaving: actors on connections of their own do as they like to the same few jobs.

A trigger in the database writes down every change of every row, so nothing that happened between two reads is missed. The
record is then held against `domain.jobs.states`: only moves that are foreseen, and nothing after the end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any, LiteralString
from uuid import UUID

import hypothesis
import psycopg
import pytest
from hypothesis import strategies as st

from config.settings import Settings
from domain.errors import NexusError, Permanent, Transient
from domain.identity.permissions import ALL
from domain.identity.principals import Principal
from domain.ids import new_id
from domain.jobs.families import AfterPolicy
from domain.jobs.states import MOVES, TERMINAL, JobState
from jobs.bulk import Related, submit_many
from jobs.control import cancel, replay
from jobs.leases import claim, hand_back, renew, write_progress
from jobs.outcomes import failed, record, succeeded
from jobs.reconcile import reclaim_expired, requeue_undelivered
from jobs.replacement import submit_or_replace
from jobs.replay import ReplayFilter, replay_all
from jobs.submit import NewJob, submit
from jobs.waits import Waits
from tenancy.access import Tenancy
from tests.integration.jobs.conftest import dispatch

ACTORS = 4
UNIQUE_KEYS = 2

# BEFORE, because PostgreSQL fires no AFTER UPDATE where an update moves a row to another partition.
_WATCH: LiteralString = """
CREATE TABLE seen (number bigserial, id uuid, old text, new text, changed bool);
GRANT INSERT, SELECT ON seen TO PUBLIC; GRANT USAGE ON SEQUENCE seen_number_seq TO PUBLIC;
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO seen (id, old, new, changed) VALUES (NEW.id, OLD.state, NEW.state, NEW IS DISTINCT FROM OLD);
    RETURN NEW;
END $$;
CREATE TRIGGER note_change BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION note_change();
"""

_UNWATCH: LiteralString = """
DROP TRIGGER note_change ON jobs; DROP FUNCTION note_change; DROP TABLE seen;
"""


@pytest.fixture
def watched(settings: Settings, quiet: None) -> Iterator[None]:
    """Every update of a job is written down while the test runs."""
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as owner:
        owner.execute(_WATCH)
        yield
        owner.execute(_UNWATCH)


@dataclass
class Ground:
    """What the actors share: the jobs that there are and the claims that are, or were, held."""

    engine: Tenancy
    web: Tenancy
    principal: Principal
    jobs: list[UUID] = field(default_factory=list)
    messages: list[tuple[UUID, int]] = field(default_factory=list)
    claims: list[tuple[UUID, UUID, str, int]] = field(default_factory=list)

    @property
    def tenant(self) -> UUID:
        assert self.principal.tenant_id is not None
        return self.principal.tenant_id

    def new(self, **options: Any) -> NewJob:
        return NewJob(kind="system.ping", payload={}, principal=self.principal, **options)


Action = Callable[[Ground, random.Random], None]


def submits(ground: Ground, draw: random.Random) -> None:
    later = datetime.now(UTC) + timedelta(hours=1) if draw.random() < 0.2 else None
    key = f"u{draw.randrange(UNIQUE_KEYS)}" if draw.random() < 0.5 else None
    ground.jobs.append(submit(ground.web, ground.new(run_at=later, unique_key=key)).id)


def submits_relatives(ground: Ground, draw: random.Random) -> None:
    others = tuple(draw.sample(ground.jobs, min(2, len(ground.jobs))))
    policy = draw.choice(list(AfterPolicy))
    parent = draw.choice(ground.jobs)
    for answer in submit_many(ground.web, [Related(ground.new(parent_id=parent), others, policy), ground.new()]):
        if not isinstance(answer, NexusError):
            ground.jobs.append(answer.id)


def replaces(ground: Ground, draw: random.Random) -> None:
    later = datetime.now(UTC) + timedelta(hours=1) if draw.random() < 0.5 else None
    key = f"u{draw.randrange(UNIQUE_KEYS)}"
    ground.jobs.append(submit_or_replace(ground.web, ground.new(run_at=later, unique_key=key)).id)


def dispatches(ground: Ground, draw: random.Random) -> None:
    ground.messages += [(row.id, row.attempt) for row in dispatch(ground.engine, draw.choice([2, 8]))]


def claims(ground: Ground, draw: random.Random) -> None:
    """Also messages that were delivered before, or come too late."""
    items = draw.sample(ground.messages, min(3, len(ground.messages)))
    token, lease = new_id(), draw.choice([-1.0, 60.0])
    for row in claim(ground.engine.platform, items, token=token, worker_id=new_id(), lease_seconds=lease):
        ground.claims.append((row["id"], token, row["kind"], row["attempt"]))


def finishes(ground: Ground, draw: random.Random) -> None:
    """Also with tokens that lost their lease, or finished before."""
    vault = ground.engine.vault(ground.tenant)
    outcomes = []
    for job_id, token, kind, attempt in draw.sample(ground.claims, min(3, len(ground.claims))):
        error = draw.choice([None, Transient("x"), Permanent("x")])
        outcomes.append(
            succeeded(job_id, token, kind, {}, vault)
            if error is None
            else failed(job_id, token, kind, error, attempt, vault, 0.0)
        )
    record(ground.engine.platform, outcomes)


def hands_back(ground: Ground, draw: random.Random) -> None:
    job_id, token, *_ = draw.choice(ground.claims)
    hand_back(ground.engine.platform, [job_id], token)


def lives(ground: Ground, draw: random.Random) -> None:
    job_id, token, *_ = draw.choice(ground.claims)
    renew(ground.engine.platform, {job_id: token}, draw.choice([-1.0, 60.0]))
    write_progress(ground.engine.platform, [(job_id, token, 1, 2, "half")])


def cancels(ground: Ground, draw: random.Random) -> None:
    cancel(ground.web, ground.tenant, draw.choice(ground.jobs))


def replays(ground: Ground, draw: random.Random) -> None:
    ground.jobs.append(replay(ground.web, ground.principal, draw.choice(ground.jobs)).id)


def replays_by_filter(ground: Ground, draw: random.Random) -> None:
    answers = replay_all(ground.web, ground.principal, ReplayFilter(draw.choice(["failed", "cancelled"])), limit=3)
    ground.jobs += [answer.id for _, answer in answers if not isinstance(answer, NexusError)]


def reclaims(ground: Ground, draw: random.Random) -> None:
    reclaim_expired(ground.engine, lambda: 0.0)


def requeues(ground: Ground, draw: random.Random) -> None:
    requeue_undelivered(ground.engine, 0.0)


def looks(ground: Ground, draw: random.Random) -> None:
    Waits(ground.engine, slice=draw.choice([2, 100])).look()


ACTIONS: tuple[Action, ...] = (
    submits, submits_relatives, replaces, dispatches, dispatches, claims, claims, finishes, finishes, hands_back, lives,
    cancels, replays, replays_by_filter, reclaims, requeues, looks,
)  # fmt: skip


def act(ground: Ground, barrier: Barrier, steps: list[int], seed: int) -> None:
    """One actor: its steps one after another, each refusal of the vocabulary being an answer."""
    draw = random.Random(seed)
    barrier.wait(60)
    for step in steps:
        with suppress(NexusError, IndexError):  # refused, or there is nothing yet to choose from
            ACTIONS[step](ground, draw)


PROGRAMS = st.lists(
    st.lists(st.integers(0, len(ACTIONS) - 1), min_size=15, max_size=30), min_size=ACTORS, max_size=ACTORS
)


@pytest.mark.usefixtures("watched")
def test_no_interleaving_makes_an_illegal_move_or_changes_what_has_finished(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, pooled_tenant: UUID, user: UUID
) -> None:
    principal = Principal(subject=f"user:{user}", user_id=user, tenant_id=pooled_tenant, permissions=ALL)
    reached: set[tuple[str, str]] = set()

    @hypothesis.given(PROGRAMS, st.integers(0, 2**32))
    @hypothesis.settings(
        max_examples=40, deadline=None, database=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    def run(programs: list[list[int]], seed: int) -> None:
        engine_tenancy.platform.fetch("DELETE FROM jobs", {})  # what an earlier run left in flight takes up room
        ground = Ground(engine_tenancy, web_tenancy, principal)
        ground.jobs += [submit(web_tenancy, ground.new()).id for _ in range(4)]
        barrier = Barrier(ACTORS)
        with ThreadPoolExecutor(ACTORS) as pool:
            for done in [pool.submit(act, ground, barrier, steps, seed + n) for n, steps in enumerate(programs)]:
                done.result(60)
        reached.update(check(engine_tenancy))

    run()
    assert {old for old, _ in reached} == {state.value for state in JobState if state not in TERMINAL}
    assert {new for _, new in reached} >= {state.value for state in TERMINAL}


def check(engine: Tenancy) -> set[tuple[str, str]]:
    """Hold what was written down against the rules; returns the moves that were made."""
    seen = engine.platform.fetch("SELECT id, old, new, changed FROM seen ORDER BY number", {})
    moves = {(row["old"], row["new"]) for row in seen if row["old"] != row["new"]}
    illegal = {(old, new) for old, new in moves if JobState(new) not in MOVES[JobState(old)]}
    assert illegal == set()
    assert [row for row in seen if JobState(row["old"]) in TERMINAL and row["changed"]] == []
    assert engine.platform.fetch(_BROKEN, {}) == []
    return moves


_BROKEN: LiteralString = """
SELECT id, state, attempt, token, finished_at, expires_at FROM jobs
 WHERE (state IN ('succeeded', 'failed', 'cancelled')) <> (finished_at IS NOT NULL AND expires_at IS NOT NULL)
    OR attempt NOT BETWEEN 0 AND max_attempts
    OR (state = 'running') <> (token IS NOT NULL AND lease_until IS NOT NULL)
    OR (SELECT count(*) FROM jobs r WHERE r.replay_of = jobs.id) > 1
"""
"""Rows that contradict themselves, and jobs that were replayed twice."""

"""Does to a running platform what a plan says, and keeps which jobs each fault hit."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

import psutil

from bench.brokers import flush
from bench.chaos.plan import Fault, Step
from bench.chaos.truth import Witness
from bench.engine import until
from bench.rabbitmq import PrivateRabbitMQ
from bench.victims import DISPATCHER, WEB, WORKER_CPU, WORKER_IO, Victim, find, freeze, heads, kill
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.supervisor import is_ready
from cli.embedded.valkey import EmbeddedValkey
from cli.processes import PlatformProcess
from tenancy.access import Tenancy

_RETURN_SECONDS = 60.0
_BUSY_SECONDS = 3.0

_RUNNING: LiteralString = "SELECT id FROM jobs WHERE state = 'running' AND queue = ANY(%(queues)s)"
_CARRIED: LiteralString = "SELECT id FROM jobs WHERE state = 'dispatched'"
_ON_THE_WAY: LiteralString = "SELECT id FROM jobs WHERE state IN ('dispatched', 'running')"
_DUE: LiteralString = "SELECT id FROM jobs WHERE state IN ('queued', 'dispatched') AND run_at <= now()"
_UNFINISHED: LiteralString = """
SELECT id FROM jobs WHERE id = ANY(%(ids)s) AND state NOT IN ('succeeded', 'failed', 'cancelled')
"""
_COMING_BACK: LiteralString = """
SELECT id FROM jobs WHERE id = ANY(%(ids)s) AND state IN ('queued', 'dispatched', 'retrying') AND queue = ANY(%(queues)s)
"""
"""Those hit before that wait for the victim, or whose message it held."""

_WORKER: LiteralString = "SELECT id FROM workers WHERE pid = %(pid)s AND NOT stopping"
_LEFT_BEHIND: LiteralString = "SELECT id FROM jobs WHERE state = 'running' AND worker_id = ANY(%(workers)s)"


@dataclass(frozen=True, slots=True)
class Hit:
    """The last fault that hit a job, and how many did. `at` is when what it took away was there again, if that was waited for."""

    what: str
    at: datetime
    times: int


@dataclass(slots=True)
class Faults:
    """Of one platform. `broker` is its RabbitMQ, if it does not run on the embedded Valkey."""

    platform: PlatformProcess
    tenancy: Tenancy
    witness: Witness
    say: Callable[[str], None]
    broker: PrivateRabbitMQ | None = None
    kills: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    hits: dict[UUID, Hit] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def do(self, step: Step) -> None:
        """One step. Returns when the server that it took away is back; a worker's return is not waited for."""
        if isinstance(step, Victim):
            self._kill(step, step.name)
            self.kills[step.name] += 1
            return
        {
            Fault.FLUSH: self._flush,
            Fault.BROKER: self._restart_broker,
            Fault.POSTGRES: self._restart_postgres,
            Fault.LEADER: self._kill_leader,
            Fault.WEB: self._kill_web,
            Fault.ROLLING: self._roll,
        }[step]()
        self.done[step.value] += 1

    def _kill(self, victim: Victim, name: str) -> None:
        processes = self._held_by(victim)
        queues = list(victim.queues)
        freeze(processes)
        # In this order: what the victim had asked to claim may turn from the one into the other meanwhile.
        coming_back = self._ids(_COMING_BACK, ids=list(self.hits), queues=queues) if queues else set()
        held = self._ids(_RUNNING, queues=queues) if queues else set()
        kill(processes)
        self._hit(name, held)
        self._hit(name, coming_back - held, attempt=False)
        self.say(f"killed {name} ({len(processes)} processes, {len(held)} jobs)")

    def _held_by(self, victim: Victim) -> list[psutil.Process]:
        """The victim's processes, preferably in a moment when a job is in their hands."""
        until(lambda: bool(find(self.platform, victim)), _RETURN_SECONDS, f"{victim.name} running again")
        deadline = time.monotonic() + _BUSY_SECONDS
        while victim.queues and time.monotonic() < deadline:
            if self._ids(_RUNNING, queues=list(victim.queues)):
                break
            time.sleep(0.005)
        return find(self.platform, victim)

    def _flush(self) -> None:
        carried = self._ids(_CARRIED)
        flush(self.platform.environment["BROKER_URL"])
        self._hit_all(Fault.FLUSH.value, carried)
        self.say(f"flushed the broker ({len(carried)} jobs on their way)")

    def _restart_broker(self) -> None:
        carried = self._ids(_CARRIED)
        hit = self._hit_all(Fault.BROKER.value, carried)
        with self.witness.away():
            took = self._renew_rabbitmq(self.broker) if self.broker is not None else self._renew_valkey()
        self._is_back(hit)
        self.say(f"restarted the broker in {took:.1f} s ({len(carried)} jobs on their way)")

    def _renew_rabbitmq(self, server: PrivateRabbitMQ) -> float:
        started = time.monotonic()
        server.stop()
        server.start()
        return time.monotonic() - started

    def _renew_valkey(self) -> float:
        server = EmbeddedValkey(self.platform.home)
        before = server.pid
        if before is None:
            raise TimeoutError("Valkey does not run")
        os.kill(before, signal.SIGTERM)
        return until(lambda: server.pid not in {None, before}, _RETURN_SECONDS, "Valkey running again", 0.1)

    def _restart_postgres(self) -> None:
        server = EmbeddedPostgres(self.platform.home)
        before = server.pid
        if before is None:
            raise TimeoutError("PostgreSQL does not run")
        on_the_way = self._ids(_ON_THE_WAY)
        with self.witness.away():
            hit = self._hit_all(Fault.POSTGRES.value, on_the_way)
            os.kill(before, signal.SIGINT)
            until(lambda: server.pid not in {None, before}, _RETURN_SECONDS, "PostgreSQL running again", 0.1)
            self._is_back(hit)
            took = until(self._is_ready, _RETURN_SECONDS, "the API ready again", 0.1)
        self.say(f"restarted PostgreSQL; the API was ready {took:.1f} s after ({len(on_the_way)} jobs on their way)")

    def _kill_leader(self) -> None:
        due = self._ids(_DUE)
        self._kill(DISPATCHER, "the leader")
        self._hit_all(Fault.LEADER.value, due)

    def _kill_web(self) -> None:
        with self.witness.away():
            self._kill(WEB, "the API")
            until(self._is_ready, _RETURN_SECONDS, "the API ready again", 0.1)

    def _roll(self) -> None:
        """SIGTERM to each program in turn, as a deployment would; supervisord starts it again."""
        with self.witness.away():
            for victim in (WORKER_IO, WORKER_CPU, DISPATCHER, WEB):
                took = self._replace(victim)
                self.say(f"replaced {victim.name} in {took:.1f} s")

    def _replace(self, victim: Victim) -> float:
        until(lambda: bool(heads(self.platform, victim)), _RETURN_SECONDS, f"{victim.name} running")
        (old,) = heads(self.platform, victim)[:1]
        workers = self._ids(_WORKER, pid=old.pid)
        held = self._ids(_RUNNING, queues=list(victim.queues)) if victim.queues else set()
        started = time.monotonic()
        old.send_signal(signal.SIGTERM)
        old.wait(_RETURN_SECONDS)
        self._hit(Fault.ROLLING.value, held, attempt=False)
        if left := self._ids(_LEFT_BEHIND, workers=list(workers)):
            self.problems.append(f"{victim.name} was asked to stop and left {len(left)} jobs behind")
        until(lambda: self._serves(victim), _RETURN_SECONDS, f"{victim.name} serving again", 0.1)
        return time.monotonic() - started

    def _serves(self, victim: Victim) -> bool:
        processes = heads(self.platform, victim)
        if victim is WEB:
            return self._is_ready()
        if not victim.queues:
            return bool(processes)
        return any(self._ids(_WORKER, pid=process.pid) for process in processes)

    def _is_ready(self) -> bool:
        return is_ready("127.0.0.1", self.platform.port)

    def _hit_all(self, what: str, jobs: Collection[UUID]) -> set[UUID]:
        """What all jobs need went away: those that an earlier fault hit, and that are on their way back, are hit again."""
        hit = {*jobs, *self._ids(_UNFINISHED, ids=list(self.hits))}
        self._hit(what, hit, attempt=what == Fault.POSTGRES.value)
        return hit

    def _is_back(self, jobs: Collection[UUID]) -> None:
        """What was taken away is there again: from now on it is up to the engine how long these jobs take."""
        now = datetime.now(UTC)
        self.hits.update({job_id: replace(self.hits[job_id], at=now) for job_id in jobs})

    def _hit(self, what: str, jobs: Collection[UUID], *, attempt: bool = True) -> None:
        now = datetime.now(UTC)
        for job_id in jobs:
            before = self.hits.get(job_id)
            times = (0 if before is None else before.times) + attempt
            self.hits[job_id] = Hit(what, now, times)

    def _ids(self, query: LiteralString, **parameters: Any) -> set[UUID]:
        return {row["id"] for row in self.tenancy.platform.fetch(query, parameters)}

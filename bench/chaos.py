"""Kill, flush and restart under load, then count: nothing lost, nothing done twice, all of it soon.

Jobs are submitted over HTTP in bursts to a whole platform. After each burst a process is stopped, what it holds is
read, and it is killed. At the end every accepted job must have succeeded, every message must lie in the outbox
once, and whatever a kill hit must have finished within `RECOVERY_SECONDS` of the last kill that hit it.

Run with `python -m bench.chaos`; the fault tests run a shorter plan.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID, uuid4

import click
from sqlalchemy import func, select

from bench.brokers import flush
from bench.tenant_client import TenantClient
from bench.victims import DISPATCHER, POOL_PROCESS, WEB, WORKER_CPU, WORKER_IO, Victim, find, freeze, kill
from cli.processes import PlatformProcess
from config.settings import load
from models.tenant import Message, MessageAttempt
from tenancy.access import Tenancy

RECOVERY_SECONDS = 20.0
PING_SECONDS = 0.05

_HELD: LiteralString = "SELECT id FROM jobs WHERE state = 'running' AND queue = ANY(%(queues)s)"
_OF_TENANT: LiteralString = """
SELECT id, kind, state, attempt, finished_at FROM jobs
 WHERE tenant_id = %(tenant_id)s AND kind IN ('system.ping', 'notification.deliver') AND request_id IS NOT NULL
   AND parent_id IS NULL
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """`victims` are killed one after another, each `pause` seconds after the one before; the broker is flushed in between."""

    jobs: int
    victims: tuple[Victim, ...]
    flushes: int = 1
    pause: float = 2.5
    seed: int = 1


@dataclass(slots=True)
class Tally:
    """What happened and what came of it. `problems` is empty if all went well."""

    submitted: int = 0
    succeeded: int = 0
    messages: int = 0
    repeated_requests: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    flushes: int = 0
    hits: int = 0
    jobs_hit: int = 0
    attempts: Counter[int] = field(default_factory=Counter)
    slowest_recovery: float = 0.0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        names = self.__slots__
        return {name: dict(value) if isinstance(value := getattr(self, name), Counter) else value for name in names}


@dataclass(slots=True)
class Chaos:
    """One run of a plan against a platform that is up."""

    platform: PlatformProcess
    plan: Plan
    say: Callable[[str], None]
    tally: Tally = field(default_factory=Tally)
    accepted: dict[UUID, str] = field(default_factory=dict)
    last_hit: dict[UUID, datetime] = field(default_factory=dict)

    def run(self) -> Tally:
        """Load, kill, wait, count."""
        settings = load(_env_file=None, **self.platform.environment)
        tenancy = Tenancy(settings, "engine")
        started = time.monotonic()
        try:
            with TenantClient.create(self.platform.base_url) as client:
                self._load_and_kill(client, tenancy)
                self._wait(client, tenancy)
                self._count(client, tenancy)
                self.tally.repeated_requests = client.repeated
        finally:
            tenancy.dispose()
        self.tally.seconds = time.monotonic() - started
        return self.tally

    def _load_and_kill(self, client: TenantClient, tenancy: Tenancy) -> None:
        draw = random.Random(self.plan.seed)
        bursts = len(self.plan.victims)
        flush_before = {round((number + 1) * bursts / (self.plan.flushes + 1)) for number in range(self.plan.flushes)}
        next_kill = time.monotonic() + 1.0
        with ThreadPoolExecutor(8) as submitters:
            for number, victim in enumerate(self.plan.victims):
                time.sleep(max(0.0, next_kill - time.monotonic()))
                next_kill = time.monotonic() + self.plan.pause
                first = number * self.plan.jobs // bursts
                waiting = [
                    submitters.submit(self._submit, client, tenancy, index)
                    for index in range(first, (number + 1) * self.plan.jobs // bursts)
                ]
                time.sleep(draw.random() * 0.3)
                if number in flush_before:
                    self._flush()
                self._kill(victim, tenancy)
                for submission in waiting:
                    submission.result()

    def _submit(self, client: TenantClient, tenancy: Tenancy, index: int) -> None:
        key = str(uuid4())
        if index % 2:
            job = client.post("/jobs", {"kind": "system.ping", "payload": {"seconds": PING_SECONDS}}, key)
        else:
            body = {"to": "reader@example.com", "subject": f"Number {index}", "text": "Once."}
            job = client.post("/notifications/send", body, key)
        job_id = UUID(job["id"])
        if not tenancy.platform.fetch("SELECT 1 FROM jobs WHERE id = %(id)s", {"id": job_id}):
            self.tally.problems.append(f"job {job_id} was accepted, and there is no such row")
        self.accepted[job_id] = job["kind"]
        self.tally.submitted += 1

    def _kill(self, victim: Victim, tenancy: Tenancy) -> None:
        processes = self._held_by(victim, tenancy)
        freeze(processes)
        rows = tenancy.platform.fetch(_HELD, {"queues": list(victim.queues)}) if victim.queues else []
        kill(processes)
        now = datetime.now(UTC)
        self.last_hit.update(dict.fromkeys((row["id"] for row in rows), now))
        self.tally.hits += len(rows)
        self.tally.kills[victim.name] += 1
        self.say(f"killed {victim.name} ({len(processes)} processes, {len(rows)} jobs)")

    def _held_by(self, victim: Victim, tenancy: Tenancy) -> list[Any]:
        """The victim's processes, preferably in a moment when a job is in their hands."""
        deadline = time.monotonic() + 10
        while True:
            processes = find(self.platform, victim)
            busy = not victim.queues or bool(tenancy.platform.fetch(_HELD, {"queues": list(victim.queues)}))
            if processes and (busy or time.monotonic() > deadline - 7):
                return processes
            if time.monotonic() > deadline:
                raise TimeoutError(f"{victim.name} does not run again")
            time.sleep(0.005)

    def _flush(self) -> None:
        flush(self.platform.environment["BROKER_URL"])
        self.tally.flushes += 1
        self.say("flushed the broker")

    def _wait(self, client: TenantClient, tenancy: Tenancy) -> None:
        deadline = time.monotonic() + RECOVERY_SECONDS + 15
        left = len(self.accepted)
        while left and time.monotonic() < deadline:
            rows = tenancy.platform.fetch(_OF_TENANT, {"tenant_id": client.tenant_id})
            left = sum(row["state"] not in {"succeeded", "failed", "cancelled"} for row in rows)
            time.sleep(0.2)
        self.say(f"{len(self.accepted) - left} of {len(self.accepted)} finished")

    def _count(self, client: TenantClient, tenancy: Tenancy) -> None:
        rows = {row["id"]: row for row in tenancy.platform.fetch(_OF_TENANT, {"tenant_id": client.tenant_id})}
        problems = self.tally.problems
        if extra := rows.keys() - self.accepted.keys():
            problems.append(f"{len(extra)} jobs that no answered request made")
        for job_id in self.accepted:
            row = rows.get(job_id)
            if row is None or row["state"] != "succeeded":
                problems.append(f"job {job_id} is {'gone' if row is None else row['state']}")
                continue
            self.tally.succeeded += 1
            self.tally.attempts[row["attempt"]] += 1
            if job_id in self.last_hit:
                self._judge_recovery(job_id, row)
        told = {UUID(job["id"]): job["state"] for job in _all_jobs(client)}
        if wrong := [job_id for job_id in self.accepted if told.get(job_id) != "succeeded"]:
            problems.append(f"the API does not tell of {len(wrong)} jobs that they succeeded")
        self._count_messages(client, tenancy)

    def _judge_recovery(self, job_id: UUID, row: Mapping[str, Any]) -> None:
        seconds = (row["finished_at"] - self.last_hit[job_id]).total_seconds()
        self.tally.jobs_hit += 1
        self.tally.slowest_recovery = max(self.tally.slowest_recovery, seconds)
        if seconds > RECOVERY_SECONDS:
            self.tally.problems.append(f"job {job_id} finished {seconds:.1f} s after the kill that hit it")

    def _count_messages(self, client: TenantClient, tenancy: Tenancy) -> None:
        expected = {job_id for job_id, kind in self.accepted.items() if kind == "notification.deliver"}
        sent = select(Message.id, func.count(MessageAttempt.number)).outerjoin(
            MessageAttempt, (MessageAttempt.message_id == Message.id) & (MessageAttempt.state == "succeeded")
        )
        with tenancy.session(client.tenant_id) as session:
            rows = session.execute(sent.where(Message.status == "sent").group_by(Message.id)).all()
        taken = {row[0]: row[1] for row in rows}
        mails = Counter(path.stem for path in (self.platform.home / "outbox").glob("*.eml"))
        self.tally.messages = sum(mails[str(job_id)] for job_id in expected)
        if wrong := [job_id for job_id in expected if taken.get(job_id) != 1]:
            self.tally.problems.append(f"{len(wrong)} messages do not have exactly one attempt that succeeded")
        if missing := [job_id for job_id in expected if mails[str(job_id)] != 1]:
            self.tally.problems.append(f"{len(missing)} messages do not lie in the outbox")


def _all_jobs(client: TenantClient) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = client.get(f"/jobs?limit=200{cursor}")
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def long_plan(jobs: int, kills: int, flushes: int, seed: int) -> Plan:
    """Every kind of process, workers most often."""
    round_of = (WORKER_IO, POOL_PROCESS, WORKER_CPU, DISPATCHER, WORKER_IO, POOL_PROCESS, WORKER_CPU, WEB)
    return Plan(jobs, tuple(round_of[number % len(round_of)] for number in range(kills)), flushes, seed=seed)


@click.command()
@click.option("--jobs", default=3000, show_default=True, help="Jobs to submit, half of them messages.")
@click.option("--kills", default=40, show_default=True, help="Processes to kill.")
@click.option("--flushes", default=4, show_default=True, help="How often the broker forgets everything.")
@click.option("--seed", default=1, show_default=True, help="Draws the moments of the kills.")
def main(jobs: int, kills: int, flushes: int, seed: int) -> None:
    """Kill, flush and restart under load, then count what was lost."""
    from bench.home import temporary_home
    from bench.report import show_tally, write

    with temporary_home() as home, PlatformProcess(home, environment={"NEXUS_LOG_LEVEL": "warning"}) as platform:
        tally = Chaos(platform, long_plan(jobs, kills, flushes, seed), click.echo).run()
    show_tally(tally.as_json())
    write("chaos", {"plan": {"jobs": jobs, "kills": kills, "flushes": flushes, "seed": seed}, **tally.as_json()})
    sys.exit(1 if tally.problems else 0)


if __name__ == "__main__":
    main()

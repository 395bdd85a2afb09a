"""The count after a chaos run: every accepted job in its place, every effect once, and the API telling what the rows say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy import func, select

from bench.chaos.faults import Hit
from bench.chaos.ledger import Accepted, Ledger
from bench.chaos.tally import RECOVERY_SECONDS, Tally
from bench.chaos.workload import CHILDREN, Role
from bench.tenant_client import TenantClient
from models.tenant import Message, MessageAttempt
from tenancy.access import Tenancy
from tenancy.database import Row

JOBS: LiteralString = """
SELECT id, tenant_id, state, attempt, max_attempts, error_code, started_at, finished_at, parent_id FROM jobs
 WHERE tenant_id = ANY(%(tenants)s) AND kind IN ('system.ping', 'notification.deliver') AND request_id IS NOT NULL
"""
"""All jobs that clients submitted, and the children of those."""

JUDGED = {Role.PING, Role.MESSAGE}
"""Whose recovery is measured: the others take their time by themselves."""


@dataclass(slots=True)
class Reckoning:
    """Fills `tally` from rows, tenants' databases, the outbox and the API."""

    ledger: Ledger
    tenancy: Tenancy
    hits: Mapping[UUID, Hit]
    outbox: Path
    tally: Tally
    rows: dict[UUID, Row] = field(default_factory=dict)
    _children: dict[UUID, list[Row]] = field(default_factory=dict)
    _not_ours: set[UUID] = field(default_factory=set)

    def count(self) -> None:
        """Everything."""
        tenants = [client.tenant_id for client in self.ledger.clients]
        for row in self.tenancy.platform.fetch(JOBS, {"tenants": tenants}):
            if row["parent_id"] is None:
                self.rows[row["id"]] = row
            elif row["parent_id"] in self.ledger.jobs:
                self._children.setdefault(row["parent_id"], []).append(row)
            else:  # such as the message that greets a new tenant
                self._not_ours.add(row["id"])
        self.tally.submitted = len(self.ledger.jobs)
        self._count_jobs()
        self._count_children()
        self._count_poison()
        for tenant, client in enumerate(self.ledger.clients):
            self._count_messages(tenant, client)
            self._count_told(tenant, client)
        self._judge_recovery()

    def _count_jobs(self) -> None:
        if extra := self.rows.keys() - self.ledger.jobs.keys():
            self._doubled(len(extra), f"{len(extra)} jobs that no answered request made, e.g. {min(extra)}")
        for job in self.ledger.jobs.values():
            row = self.rows.get(job.id)
            self.tally.roles[job.order.role.value] += 1
            self.tally.states["gone" if row is None else row["state"]] += 1
            if row is None or row["state"] != job.order.expected:
                why = "gone" if row is None else f"{row['state']} ({row['error_code']}) at attempt {row['attempt']}"
                self._lost(f"{job.order.role} {job.id} is {why}")
                continue
            self.tally.attempts[row["attempt"]] += 1
            if (said := self._wrong(job, row)) is not None:
                self.tally.problems.append(f"{job.order.role} {job.id} {said}")

    def _wrong(self, job: Accepted, row: Row) -> str | None:
        """What is wrong with a job that ended in the state in which it had to."""
        match job.order.role:
            case Role.POISON if (row["error_code"], row["attempt"]) != ("worker_lost", row["max_attempts"]):
                return f"failed with {row['error_code']} at attempt {row['attempt']} of {row['max_attempts']}"
            case Role.BEREAVED if (row["error_code"], row["attempt"]) != ("dependency_failed", 0):
                return f"was cancelled with {row['error_code']} at attempt {row['attempt']}"
            case Role.STUMBLER if row["attempt"] <= job.order.number:
                return f"succeeded at attempt {row['attempt']}, which was asked to fail"
            case Role.DELAYED if job.run_at is not None and row["started_at"] < job.run_at:
                return f"began {(job.run_at - row['started_at']).total_seconds():.3f} s before its time"
            case Role.FAN_IN:
                return self._wrong_fan_in(job, row)
        return None

    def _wrong_fan_in(self, job: Accepted, row: Row) -> str | None:
        waited_for = [self.rows[other]["finished_at"] for other in job.after if other in self.rows]
        if any(finished_at is None or finished_at > row["started_at"] for finished_at in waited_for):
            return "began before all that it waits for had finished"
        told = self.ledger.clients[job.tenant].get(f"/jobs/{job.id}")["result"]
        if told != {"message": str(job.total)}:
            return f"came to {told} instead of {job.total}"
        return None

    def _count_children(self) -> None:
        parents = [job for job in self.ledger.jobs.values() if job.order.role is Role.PARENT]
        self.tally.children = sum(len(found) for found in self._children.values())
        for parent in parents:
            states = Counter(row["state"] for row in self._children.get(parent.id, []))
            if states.total() > CHILDREN:
                self._doubled(states.total() - CHILDREN, f"parent {parent.id} has {states.total()} children")
            elif states != {"succeeded": CHILDREN}:
                self._lost(f"children of {parent.id}: {dict(states)}", CHILDREN - states["succeeded"])

    def _count_poison(self) -> None:
        poison = [job for job in self.ledger.jobs.values() if job.order.role is Role.POISON]
        rows = [row for job in poison if (row := self.rows.get(job.id))]
        ended = Counter(f"{row['state']} {row['error_code']} after {row['attempt']} attempts" for row in rows)
        self.tally.poison = ", ".join(f"{count} {how}" for how, count in ended.items()) or "none"

    def _count_messages(self, tenant: int, client: TenantClient) -> None:
        expected = {job.id for job in self.ledger.of(tenant, Role.MESSAGE)}
        sent = select(Message.id, func.count(MessageAttempt.number)).outerjoin(
            MessageAttempt, (MessageAttempt.message_id == Message.id) & (MessageAttempt.state == "succeeded")
        )
        with self.tenancy.session(client.tenant_id) as session:
            rows = session.execute(sent.where(Message.status == "sent").group_by(Message.id)).all()
        taken: dict[UUID, int] = {row[0]: row[1] for row in rows}
        for job_id in expected:
            times, lies = taken.get(job_id, 0), (self.outbox / f"{job_id}.eml").exists()
            self.tally.messages += times == 1 and lies
            if times > 1:
                self._doubled(times - 1, f"message {job_id} was sent {times} times")
            elif times == 0 or not lies:
                self._lost(f"message {job_id}: {times} attempts succeeded, in the outbox: {lies}")
        if strange := taken.keys() - expected - self._not_ours:
            self._doubled(len(strange), f"{len(strange)} messages that nobody asked for")

    def _count_told(self, tenant: int, client: TenantClient) -> None:
        """The API's lists against the rows."""
        told = {UUID(job["id"]): job["state"] for job in _all_jobs(client)}
        ours = [job.id for job in self.ledger.jobs.values() if job.tenant == tenant]
        wrong = [job_id for job_id in ours if job_id in self.rows and told.get(job_id) != self.rows[job_id]["state"]]
        if wrong:
            self.tally.problems.append(f"the API does not tell the state of {len(wrong)} jobs, e.g. {wrong[0]}")

    def _judge_recovery(self) -> None:
        """Of jobs that nothing else held up: what a job's own poisonous neighbour does to it is not the fault's doing."""
        for job_id, hit in self.hits.items():
            job, row = self.ledger.jobs.get(job_id), self.rows.get(job_id)
            if job is None or row is None or row["finished_at"] is None or job.order.role not in JUDGED:
                continue
            self.tally.hits += 1
            seconds = (row["finished_at"] - hit.at).total_seconds()
            if row["attempt"] > hit.times + 1 or seconds < 0:
                continue
            slowest = self.tally.recovery_seconds
            slowest[hit.what] = max(slowest.get(hit.what, 0.0), round(seconds, 1))
            if seconds > RECOVERY_SECONDS:
                self.tally.slow.append(f"{job.order.role} {job_id} finished {seconds:.1f} s after: {hit.what}")

    def _lost(self, what: str, count: int = 1) -> None:
        self.tally.lost += count
        self.tally.problems.append(f"lost: {what}")

    def _doubled(self, count: int, what: str) -> None:
        self.tally.doubled += count
        self.tally.problems.append(f"doubled: {what}")


def _all_jobs(client: TenantClient) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = client.get(f"/jobs?limit=200{cursor}")
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"

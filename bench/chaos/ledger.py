"""What the API accepted in a chaos run: by this is counted what was lost."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from bench.chaos.workload import FAN_IN_LIMIT, Order, Role, Unit
from bench.tenant_client import Refused, TenantClient


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job that the API answered for with 202. `run_at` is the time asked for; `after` are those that it waits for."""

    id: UUID
    tenant: int
    order: Order
    run_at: datetime | None = None
    after: tuple[UUID, ...] = ()
    total: int | None = None


@dataclass(slots=True)
class Ledger:
    """Submits for all tenants and keeps what was accepted. Safe to share between threads."""

    clients: list[TenantClient]
    jobs: dict[UUID, Accepted] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    _order: list[Accepted] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, unit: Unit) -> None:
        """Send one unit, again and again until it is answered; a refusal is kept."""
        client = self.clients[unit.tenant]
        try:
            if len(unit.orders) > 1:
                self._in_bulk(client, unit)
            elif unit.orders[0].role is Role.FAN_IN:
                self._fan_in(client, unit.tenant, unit.orders[0])
            else:
                self._alone(client, unit.tenant, unit.orders[0])
        except Refused as error:
            with self._lock:
                self.refused.append(str(error))

    def recent(self, count: int) -> list[Accepted]:
        """The jobs accepted last."""
        return self._order[-count:]

    def all(self) -> list[Accepted]:
        """Every job so far, in the order of acceptance."""
        return self._order[:]

    def of(self, tenant: int, role: Role) -> list[Accepted]:
        """A tenant's jobs of one role, so far."""
        return [each for each in self._order[:] if each.tenant == tenant and each.order.role is role]

    def _alone(self, client: TenantClient, tenant: int, order: Order) -> None:
        if order.role is Role.MESSAGE:
            job = client.post("/notifications/send", order.payload, str(uuid4()))
            self._accept(job, tenant, order)
            return
        body, run_at = _body(order)
        job_id = self._accept(client.post("/jobs", body, str(uuid4())), tenant, order, run_at=run_at)
        if order.role is Role.POISON:
            waiting = Order(Role.BEREAVED, "system.ping", {"message": "never"})
            body = {**_body(waiting)[0], "after": [str(job_id)]}
            self._accept(client.post("/jobs", body, str(uuid4())), tenant, waiting, after=(job_id,))

    def _in_bulk(self, client: TenantClient, unit: Unit) -> None:
        bodies = [_body(order) for order in unit.orders]
        answer = client.post("/jobs/bulk", {"items": [body for body, _ in bodies]}, str(uuid4()))
        for order, (_, run_at), item in zip(unit.orders, bodies, answer["items"], strict=True):
            if item["status"] == 202:
                self._accept(item["job"], unit.tenant, order, run_at=run_at)
            else:
                raise Refused(f"an item of POST /jobs/bulk: {item['error']}")

    def _fan_in(self, client: TenantClient, tenant: int, order: Order) -> None:
        pings, poison = self.of(tenant, Role.PING)[:FAN_IN_LIMIT], self.of(tenant, Role.POISON)
        after = tuple(each.id for each in (*pings, *poison))
        body = {
            **_body(order)[0],
            "after": [str(job_id) for job_id in after],
            "after_policy": "all_finished" if poison else "all_succeeded",
        }
        total = sum(int(each.order.number) for each in pings)
        self._accept(client.post("/jobs", body, str(uuid4())), tenant, order, after=after, total=total)

    def _accept(self, job: dict[str, Any], tenant: int, order: Order, **facts: Any) -> UUID:
        accepted = Accepted(UUID(job["id"]), tenant, order, **facts)
        with self._lock:
            self.jobs[accepted.id] = accepted
            self._order.append(accepted)
        return accepted.id


def _body(order: Order) -> tuple[dict[str, Any], datetime | None]:
    body: dict[str, Any] = {"kind": order.kind, "payload": order.payload}
    if order.role is not Role.DELAYED:
        return body, None
    run_at = datetime.now(UTC) + timedelta(seconds=order.number)
    return {**body, "run_at": run_at.isoformat()}, run_at

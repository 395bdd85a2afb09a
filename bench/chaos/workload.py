"""What the tenants of a chaos run ask for: drawn once, so that the same seed submits the same jobs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

DIE, STUMBLE, FAMILY, SUM = "die", "stumble", "family", "sum"
"""First words of a ping's message: kill the process; fail the first n attempts; submit n children; add up what was
waited for. `bench.chaos.workers` does it."""

CHILDREN = 3
"""Jobs that one parent submits."""

FAN_IN_LIMIT = 200
"""Jobs that a fan-in waits for, at most."""

SECONDS = (0.0, 0.0, 0.01, 0.03, 0.05, 0.05)
"""How long pings take, evenly drawn."""

DELAY_SECONDS = (1.0, 30.0)
BULK = 20


class Role(StrEnum):
    """Why a job is there."""

    PING = "ping"
    MESSAGE = "message"
    STUMBLER = "stumbler"
    PARENT = "parent"
    DELAYED = "delayed"
    POISON = "poison"
    FAN_IN = "fan-in"
    BEREAVED = "bereaved"


EXPECTED = {Role.POISON: "failed", Role.BEREAVED: "cancelled"}
"""How jobs end that do not succeed."""


@dataclass(frozen=True, slots=True)
class Order:
    """One job to submit. `number` is the value of a ping, the failures of a stumbler, or the seconds of a delay."""

    role: Role
    kind: str
    payload: dict[str, Any]
    number: float = 0

    @property
    def expected(self) -> str:
        """The state in which it must end."""
        return EXPECTED.get(self.role, "succeeded")


@dataclass(frozen=True, slots=True)
class Unit:
    """What one request of the tenant (by index) submits."""

    tenant: int
    orders: tuple[Order, ...]

    @property
    def jobs(self) -> int:
        """Jobs that come of it, the handlers' children left out. Poison brings a job that waits for it in vain."""
        return sum(2 if order.role is Role.POISON else 1 for order in self.orders)


def units(jobs: int, tenants: int, poison: int, draw: Random) -> list[Unit]:
    """Requests that make exactly `jobs` jobs, in the order in which they are to be sent; poison comes early."""
    placed: list[tuple[float, int, Unit]] = []
    for tenant in range(tenants):
        share = (tenant + 1) * jobs // tenants - tenant * jobs // tenants
        of_tenant = _of_tenant(tenant, share, (tenant + 1) * poison // tenants - tenant * poison // tenants, draw)
        placed += [((place + 0.5) / len(of_tenant), tenant, unit) for place, unit in enumerate(of_tenant)]
    return [unit for _, _, unit in sorted(placed, key=lambda each: each[:2])]


def _of_tenant(tenant: int, jobs: int, poison: int, draw: Random) -> list[Unit]:
    plain = jobs - 1 - 2 * poison
    stumblers, parents, delayed, messages = plain // 40, plain // 60, plain // 30, plain * 2 // 5
    orders = [_ping(f"{STUMBLE} {times}", Role.STUMBLER, times) for times in _draws(draw, stumblers, (1, 2))]
    orders += [_ping(f"{FAMILY} {CHILDREN}", Role.PARENT) for _ in range(parents)]
    orders += [_ping("later", Role.DELAYED, draw.uniform(*DELAY_SECONDS)) for _ in range(delayed)]
    orders += [_message(number) for number in range(messages)]
    for value in range(plain - len(orders)):
        orders.append(_ping(str(value), Role.PING, value, draw.choice(SECONDS)))
    draw.shuffle(orders)
    found = _in_requests(tenant, orders)
    for _ in range(poison):
        found.insert(draw.randrange(1 + len(found) // 5), Unit(tenant, (_ping(DIE, Role.POISON),)))
    found.insert(len(found) * 3 // 5, Unit(tenant, (_ping(SUM, Role.FAN_IN),)))
    return found


def _in_requests(tenant: int, orders: list[Order]) -> list[Unit]:
    """As many jobs alone as in bulk, by turns."""
    found: list[Unit] = []
    for first in range(0, len(orders), 2 * BULK):
        alone, together = orders[first : first + BULK], orders[first + BULK : first + 2 * BULK]
        found += [Unit(tenant, (order,)) for order in alone]
        if together:
            found.append(Unit(tenant, tuple(together)))
    return found


def _ping(message: str, role: Role, number: float = 0, seconds: float = 0.0) -> Order:
    return Order(role, "system.ping", {"message": message, "seconds": seconds}, number)


def _message(number: int) -> Order:
    payload = {"to": "reader@example.com", "subject": f"Number {number}", "text": "Once."}
    return Order(Role.MESSAGE, "notification.deliver", payload)


def _draws(draw: Random, count: int, choices: tuple[int, ...]) -> list[int]:
    return [draw.choice(choices) for _ in range(count)]

"""What a tenant's requests cost while another tenant's database does not answer and a hundred clients ask for it."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx2
from rich.progress import Progress

from bench.engine import PROJECT, Engine
from bench.ground import Ground
from bench.service import allow_connections, start_web
from config.settings import with_address
from domain.ids import new_id
from tenancy.identity.api_keys import create

PATH = "/api/v1/merchant/plans"
"""Reads the tenant's own database."""

WARM_UP_SECONDS = 8.0
"""Until the crowd has come and each of it has asked once, and waited for the server that says nothing."""


def measure(ground: Ground, clients: int, seconds: float, rounds: int, progress: Progress) -> dict[str, Any]:
    """Milliseconds that a quiet tenant's requests take alone, beside so many clients of a tenant whose database is away, and
    beside as many of one that is well; all in each round, one after another. `ratio` is to alone, the median of the rounds.
    """
    allow_connections()
    quiet, well, away = (ground.tenant("dedicated") for _ in range(3))
    keys = {tenant: _key(ground, tenant) for tenant in (quiet, well, away)}
    bar = progress.add_task("quiet tenant's requests", total=rounds * 3)
    found: dict[str, list[list[float]]] = {"alone": [], "beside_away": [], "beside_well": []}
    statuses: set[int] = set()
    with Engine(ground.settings, ground.home / "log") as engine, _silent() as address:
        _send_away(ground, away, address)
        _, base_url = start_web(engine)
        _ask(base_url, keys[quiet], WARM_UP_SECONDS)
        for _ in range(rounds):
            for name, crowd in (("alone", None), ("beside_away", away), ("beside_well", well)):
                with _crowd(base_url, None if crowd is None else keys[crowd], clients) as answers:
                    time.sleep(WARM_UP_SECONDS)
                    found[name].append(_ask(base_url, keys[quiet], seconds))
                if crowd == away:
                    statuses |= answers
                progress.advance(bar)
    alone = found["alone"]
    return {
        "clients": clients,
        "milliseconds": {name: _points([each for part in parts for each in part]) for name, parts in found.items()},
        "ratio": {
            name: {
                point: statistics.median(
                    _points(part)[point] / _points(base)[point] for part, base in zip(parts, alone, strict=True)
                )
                for point in ("p50", "p95")
            }
            for name, parts in found.items()
            if name != "alone"
        },
        "answers_for_the_tenant_that_is_away": sorted(statuses),
    }


def _points(milliseconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(milliseconds, n=20) if len(milliseconds) > 1 else milliseconds * 19
    return {"p50": cuts[9], "p95": cuts[18], "requests": float(len(milliseconds))}


def _ask(base_url: str, key: str, seconds: float) -> list[float]:
    """One request after another for so long; the milliseconds that each took. Raises if one was not answered well."""
    taken: list[float] = []
    ends_at = time.monotonic() + seconds
    with httpx2.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:
        while not taken or time.monotonic() < ends_at:
            started = time.perf_counter()
            client.get(PATH, timeout=30).raise_for_status()
            taken.append((time.perf_counter() - started) * 1e3)
            time.sleep(0.01)
    return taken


@contextmanager
def _crowd(base_url: str, key: str | None, clients: int) -> Iterator[set[int]]:
    """So many clients at once, in a process of their own; gives the statuses that they have got, when they have gone."""
    statuses: set[int] = set()
    if key is None:
        yield statuses
        return
    command = (sys.executable, "-m", "bench.crowd", base_url, PATH, str(clients))
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(f"{key}\n")
        process.stdin.flush()
        yield statuses
        said, _ = process.communicate()
    statuses.update(json.loads(said))


@contextmanager
def _silent() -> Iterator[str]:
    """The address of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        yield f"postgresql://127.0.0.1:{server.getsockname()[1]}"


def _send_away(ground: Ground, tenant_id: UUID, address: str) -> None:
    """Let the tenant's database be there."""
    dsn = with_address(ground.tenancy.record(tenant_id).dsn or "", address)
    sealed = ground.tenancy.vault(tenant_id).seal(dsn.encode(), "tenants", "dsn_sealed", tenant_id)
    ground.tenancy.platform.fetch(
        "UPDATE tenants SET dsn_sealed = %(sealed)s, version = version + 1 WHERE id = %(id)s",
        {"sealed": sealed, "id": tenant_id},
    )


def _key(ground: Ground, tenant_id: UUID) -> str:
    _, key = create(
        ground.tenancy.platform, key_id=new_id(), tenant_id=tenant_id, user_id=ground.owner_id, name="bench",
        scopes=("plan:read",), expires_at=None,
    )  # fmt: skip
    return key

"""A broadcast's mails per second beside stock Celery with one task and one connection per mail, into the same sink, in turns.

Ours is decided, claimed and recorded in PostgreSQL with `fsync`, each mail with its own rows and its own link to unsubscribe; stock
Celery only sends. Both have two worker processes. The rate is taken from the first to the last mail, so that starting up does not
count. The memory is that of our worker and its pool, after the first tenth and at the end.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psutil
from rich.progress import Progress
from sqlalchemy import insert

from bench.engine import Engine, until
from bench.figures import median_ratio, rate
from bench.ground import Ground
from bench.peers import stock_celery
from bench.peers.stock_celery import StockCelery
from bench.smtp_sink import SmtpSink
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from models.tenant import Recipient

LIMIT_SECONDS = 600.0
_MIB = 1024 * 1024


def measure(ground: Ground, mails: int, peer_mails: int, rounds: int, progress: Progress) -> dict[str, Any]:
    """Mails per second, a figure per contender and round, the median ratio, connections used, and memory in MiB."""
    tenant_id = ground.tenant()
    _recipients(ground, tenant_id, mails)
    found: dict[str, list[float]] = {"nexus": [], "stock_celery": []}
    connections: dict[str, int] = {}
    memory: list[float] = []
    task = progress.add_task("broadcast", total=rounds * 2)
    with SmtpSink() as sink:
        for _ in range(rounds):
            found["nexus"].append(_ours(ground, tenant_id, mails, sink, memory))
            connections["nexus"] = sink.connections
            progress.advance(task)
            found["stock_celery"].append(_theirs(ground, peer_mails, sink))
            connections["stock_celery"] = sink.connections
            progress.advance(task)
    return {
        "mails": mails, "peer_mails": peer_mails, "rates": found, "connections": connections,
        "ratio": median_ratio(found["nexus"], found["stock_celery"]), "memory_mib": memory,
    }  # fmt: skip


def _recipients(ground: Ground, tenant_id: UUID, count: int) -> None:
    for numbers in _batched(count):
        rows = [
            {
                "tenant_id": tenant_id,
                "id": new_id(),
                "external_id": f"u{n}",
                "email": f"u{n}@example.com",
                "attributes": {},
            }
            for n in numbers
        ]
        with ground.tenancy.session(tenant_id) as session:
            session.execute(insert(Recipient), rows)


def _batched(count: int) -> list[range]:
    return [range(start, min(count, start + 1000)) for start in range(0, count, 1000)]


def _ours(ground: Ground, tenant_id: UUID, mails: int, sink: SmtpSink, memory: list[float]) -> float:
    sink.reset()
    url = f"smtp://127.0.0.1:{sink.port}"
    payload = {"name": "News", "subject": "News", "text": "It is here.", "audience": {}, "category": "news"}
    with Engine(ground.settings, ground.home / "log") as engine:
        engine.dispatcher()
        worker = engine.worker("notifications", SMTP_URL=url)
        submit(ground.tenancy, NewJob("notification.broadcast", payload, system("bench", tenant_id)))
        what = ground.logged(f"{mails} mails")
        until(lambda: len(sink.moments) >= mails // 10, LIMIT_SECONDS, what)
        memory.append(_memory(worker.pid))
        until(lambda: len(sink.moments) >= mails, LIMIT_SECONDS, what)
        memory.append(_memory(worker.pid))
        engine.stop(worker)
    if len(sink.recipients) != mails or len(sink.moments) != mails:
        raise RuntimeError(f"{len(sink.moments)} mails to {len(sink.recipients)} recipients, not {mails}")
    return rate(sink.moments)


def _theirs(ground: Ground, mails: int, sink: SmtpSink) -> float:
    sink.reset()
    peer = StockCelery(ground.redis_database(5))
    try:
        peer.publish_mails(mails, sink.port)
        with Engine(ground.settings, ground.home / "log") as engine:
            engine.start("stock", stock_celery.worker(), peer.variables)
            until(lambda: len(sink.moments) >= mails, LIMIT_SECONDS, ground.logged(f"{mails} mails of the peer"))
    finally:
        peer.close()
    return rate(sink.moments)


def _memory(pid: int) -> float:
    """Proportional memory of a worker with its pool and renderers, in MiB."""
    root = psutil.Process(pid)
    return sum(process.memory_full_info().pss for process in (root, *root.children(recursive=True))) / _MIB

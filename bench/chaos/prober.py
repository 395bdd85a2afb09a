"""Keeps asking the API for jobs that it accepted, and checks what it says against what it said before."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from bench.chaos.ledger import Accepted, Ledger
from bench.chaos.truth import Witness, untruth
from bench.tenant_client import Refused

PAUSE_SECONDS = 0.03
THREADS = 2
RECENT = 200


@dataclass(slots=True)
class Prober:
    """Asks in the block, in threads. Each has tenants of its own, so that answers about a job come in their order."""

    ledger: Ledger
    witness: Witness
    seed: int
    looks: int = 0
    moves: int = 0
    _seen: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(THREADS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, number: int) -> None:
        draw = Random(f"{self.seed} {number}")
        while not self._stopped.wait(PAUSE_SECONDS):
            recent = draw.random() < 0.7
            jobs = self.ledger.recent(RECENT) if recent else self.ledger.all()
            ours = [each for each in jobs if each.tenant % THREADS == number]
            if ours:
                self._look(draw.choice(ours), wait=draw.random() < 0.05)

    def _look(self, job: Accepted, *, wait: bool) -> None:
        """At once, or as a long poll of a second."""
        try:
            now = self.ledger.clients[job.tenant].look(f"/jobs/{job.id}{'?wait=1' if wait else ''}")
        except Refused as error:
            self.witness.say(f"an accepted job: {error}")
            return
        if now is None:
            return
        before = self._seen.get(job.id)
        self.looks += 1
        self.moves += before is not None and before["state"] != now["state"]
        if (said := untruth(before, now)) is not None:
            self.witness.say(f"job {job.id} {said}")
        self._seen[job.id] = now

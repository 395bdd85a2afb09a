"""HTTP sources that tenants registered: each behind its circuit and its own bound of calls, no session open while it is asked."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from domain.destinations import parse_networks
from domain.errors import JobError
from domain.search.query import Found, Query, Unanswered
from jobs.context import JobContext
from jobs.searches import Registered
from providers.circuits import process_circuits
from providers.search import Endpoint, ask
from tenancy.vault import SealBroken


def find(context: JobContext, source: Registered, query: Query, deadline: datetime) -> Found:
    """Ask the source within its own time, or what is left of the search's. Raises `Unanswered`, whatever the source did.

    A circuit belongs to a version of the source, so an edit gives it another chance.
    """
    circuit = process_circuits().get(f"search:{source.id}:{source.version}")
    if circuit.remaining() > 0:
        raise Unanswered("skipped", "circuit_open")
    endpoint = _endpoint(context, source)
    allowed = parse_networks(context.settings.search_private_networks)
    with _PLACES.one_of(source.id, source.concurrency, _left(deadline)):
        seconds = min(source.timeout_ms / 1000, _left(deadline))
        if seconds <= 0:
            raise Unanswered("timeout")
        try:
            found = ask(endpoint, query, allowed=allowed, seconds=seconds)
        except JobError as error:
            circuit.note(error)
            context.log.info("search.source_failed", source=source.name, code=error.job_code, detail=error.detail)
            if error.job_code == "timeout":
                raise Unanswered("timeout") from None
            raise Unanswered("error", error.job_code) from None
    circuit.note(None)
    return found


def _endpoint(context: JobContext, source: Registered) -> Endpoint:
    secret = None
    if source.secret_sealed is not None:
        vault = context.tenancy.vault(context.tenant_id)
        try:
            secret = vault.open(source.secret_sealed, "search_sources", "secret_sealed", source.id).decode()
        except SealBroken:
            raise Unanswered("error", "credentials_unreadable") from None
    return Endpoint(source.name, source.url, source.header_name, secret)


def _left(deadline: datetime) -> float:
    return (deadline - datetime.now(UTC)).total_seconds()


class Places:
    """How many calls of each source are under way in this process."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._taken: Counter[UUID] = Counter()

    @contextmanager
    def one_of(self, source_id: UUID, places: int, seconds: float) -> Iterator[None]:
        """Hold one of the source's places. Raises `Unanswered` (`source_busy`) if none is free within `seconds`."""
        ends = time.monotonic() + seconds
        with self._free:
            while self._taken[source_id] >= places:
                left = ends - time.monotonic()
                if left <= 0:
                    raise Unanswered("skipped", "source_busy")
                self._free.wait(left)
            self._taken[source_id] += 1
        try:
            yield
        finally:
            with self._free:
                self._taken[source_id] -= 1
                if not self._taken[source_id]:
                    del self._taken[source_id]
                self._free.notify_all()


_PLACES = Places()

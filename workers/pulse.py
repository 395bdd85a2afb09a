"""The heartbeat of a worker process: one thread that renews leases, flushes outcomes and notices what hangs.

It writes outcomes as soon as there are some, and those that come in meanwhile together in the next statement; each fifth of a
second the latest progress; each third of a lease it renews all leases in one statement and learns of cancels. Jobs that wait too long behind a neighbour of their message go back to the
queue. A job well past its deadline is ended as such, whatever its handler is still doing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

import structlog

from config.telemetry.counters import count
from config.telemetry.measures import FAILED_ATTEMPTS, OUTCOMES_FENCED
from domain.errors import DeadlineExceeded
from domain.jobs.states import JobState
from jobs.context import JobContext, draw
from jobs.fleet import claimed
from jobs.hints import Hints
from jobs.leases import Progress, hand_back, renew, write_progress
from jobs.outcomes import Outcome, failed, record
from jobs.runtimes import Observed, observe
from tenancy.database import Database

TICK_SECONDS = 0.05
COALESCE_SECONDS = 0.02
"""The least time between two writes of outcomes. The first after a pause is written at once."""

PROGRESS_SECONDS = 0.2
RUNTIMES_SECONDS = 1.0
CLAIMED_SECONDS = 1.0
"""How often at most the worker's row is told that jobs were claimed."""

OVERDUE_GRACE_SECONDS = 5.0
NEIGHBOUR_PATIENCE_SECONDS = 1.0
"""A job that was claimed and has not begun for this long is handed back: its neighbour takes longer than foreseen."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Held:
    """A claimed job in this process. `context` is there while its handler runs."""

    job_id: UUID
    token: UUID
    claimed_at: float = field(default_factory=time.monotonic)
    begun: bool = False
    finished: bool = False
    context: JobContext | None = None
    cancel_requested: bool = False


@dataclass(slots=True)
class Pulse:
    """Shared by all batches of a process; its thread starts with the first job.

    `worker_id` is the row of the worker that is told of claims, where there is one.
    """

    platform: Database
    lease_seconds: float
    worker_id: UUID | None = None
    on_overdue: Callable[[Held], None] | None = None
    hints: Hints = field(default_factory=lambda: Hints(None))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _flushing: threading.Lock = field(default_factory=threading.Lock)
    _held: dict[tuple[UUID, UUID], Held] = field(default_factory=dict)
    _outcomes: list[Outcome] = field(default_factory=list)
    _progress: dict[UUID, Progress] = field(default_factory=dict)
    _runtimes: dict[str, Observed] = field(default_factory=dict)
    _usage: dict[tuple[UUID, str], tuple[int, float]] = field(default_factory=dict)
    _has_claimed: bool = False
    _started: int | None = None
    _wake: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _stopped: bool = False

    def hold(self, entries: list[Held]) -> None:
        """Begin to renew the leases of claimed jobs."""
        with self._lock:
            for entry in entries:
                self._held[entry.job_id, entry.token] = entry
            self._has_claimed = bool(entries) or self._has_claimed
            if self._started != os.getpid():
                self._started = os.getpid()
                self._thread = threading.Thread(target=self._run, name="nexus-pulse", daemon=True)
                self._thread.start()

    def begin(self, entry: Held) -> bool:
        """Whether the job is still ours to run. From here on it is not handed back."""
        with self._lock:
            entry.begun = (entry.job_id, entry.token) in self._held
            return entry.begun

    def finish(self, entry: Held, outcome: Outcome, seconds: float, tenant: tuple[UUID, str]) -> None:
        """Hand over an outcome and the seconds it took `tenant` (id, queue). The lease is renewed until it is written."""
        with self._lock:
            entry.finished = True
            told = self._progress.pop(entry.job_id, None)
            self._outcomes.append(outcome if told is None else replace(outcome, progress=told[2:]))
            has_failed = outcome.counted and outcome.state in {JobState.FAILED, JobState.RETRYING}
            self._runtimes[outcome.kind] = self._runtimes.get(outcome.kind, Observed()).plus(seconds, failed=has_failed)
            runs, total = self._usage.get(tenant, (0, 0.0))
            self._usage[tenant] = (runs + 1, total + seconds)
        if has_failed:
            count(FAILED_ATTEMPTS, outcome.kind, outcome.code or "")
        self._wake.set()

    def abandon(self, entries: list[Held]) -> None:
        """Stop renewing what has neither begun nor an outcome, as when the process is ending: its lease runs out."""
        with self._lock:
            for entry in entries:
                if not entry.finished:
                    self._held.pop((entry.job_id, entry.token), None)

    def progress(self, job_id: UUID, token: UUID, done: int, total: int | None, message: str) -> None:
        """Keep the latest progress of a job until the next write."""
        with self._lock:
            self._progress[job_id] = (job_id, token, done, total, message[:500])

    def flush(self) -> None:
        """Write all waiting outcomes now. A database that is away leaves them waiting; the leases go on until it is back."""
        with self._flushing:
            with self._lock:
                outcomes, self._outcomes = self._outcomes, []
            if not outcomes:
                return
            try:
                taken = record(self.platform, outcomes)
            except BaseException:
                with self._lock:
                    self._outcomes = outcomes + self._outcomes
                raise
            with self._lock:
                for outcome in outcomes:
                    self._held.pop((outcome.job_id, outcome.token), None)
        self.hints.changed(taken)
        for outcome in outcomes:
            if outcome.job_id not in taken:
                count(OUTCOMES_FENCED, outcome.kind)
                log.warning("job.outcome_fenced", job_id=str(outcome.job_id), kind=outcome.kind)

    def stop(self) -> None:
        """Write what waits and end the thread; called when the process ends in order."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None and self._started == os.getpid():
            self._thread.join(2.0)
        self.flush()

    def _run(self) -> None:
        renewed = written = observed = flushed = time.monotonic()
        told = renewed - CLAIMED_SECONDS
        while not self._stopped:
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
            now = time.monotonic()
            try:
                if self._outcomes:
                    time.sleep(max(0.0, flushed + COALESCE_SECONDS - now))
                    flushed = time.monotonic()
                    self.flush()
                self._hand_back_stuck(now)
                if self._progress and now - written >= PROGRESS_SECONDS:
                    written = now
                    self._write_progress()
                if self._runtimes and now - observed >= RUNTIMES_SECONDS:
                    observed = now
                    self._observe_runtimes()
                if self._has_claimed and now - told >= CLAIMED_SECONDS:
                    told = now
                    self._tell_claimed()
                if now - renewed >= self.lease_seconds / 3:
                    self._renew(now)
                    renewed = now
            except Exception:
                # This thread keeps every job of the process alive; a database that is away for a moment must not end it.
                log.warning("pulse.failed", exc_info=True)
                time.sleep(0.5)

    def _write_progress(self) -> None:
        with self._lock:
            latest, self._progress = list(self._progress.values()), {}
        write_progress(self.platform, latest)
        self.hints.changed(job_id for job_id, *_ in latest)

    def _observe_runtimes(self) -> None:
        with self._lock:
            observed, self._runtimes = self._runtimes, {}
            usage, self._usage = self._usage, {}
        observe(self.platform, observed, usage)

    def _tell_claimed(self) -> None:
        self._has_claimed = False
        if self.worker_id is not None:
            claimed(self.platform, self.worker_id)

    def _hand_back_stuck(self, now: float) -> None:
        with self._lock:
            stuck = [
                entry
                for entry in self._held.values()
                if not entry.begun and now - entry.claimed_at > NEIGHBOUR_PATIENCE_SECONDS
            ]
            for entry in stuck:
                del self._held[entry.job_id, entry.token]
        for token in {entry.token for entry in stuck}:
            hand_back(self.platform, [entry.job_id for entry in stuck if entry.token == token], token)
        if stuck:
            self.hints.due()

    def _renew(self, now: float) -> None:
        with self._lock:
            entries = list(self._held.values())
        alive = {entry.job_id: entry for entry in entries if not _is_overdue(entry, now)}
        if alive:
            wishes = renew(self.platform, {job_id: entry.token for job_id, entry in alive.items()}, self.lease_seconds)
            for job_id, entry in alive.items():
                # A job that is not among the answers has lost its lease: its handler should stop as well.
                entry.cancel_requested = wishes.get(job_id, True)
                if entry.cancel_requested and entry.context is not None:
                    entry.context.request_cancel()
        for entry in entries:
            if entry.job_id not in alive and entry.context is not None:
                self._end_overdue(entry, entry.context)

    def _end_overdue(self, entry: Held, context: JobContext) -> None:
        context.request_cancel()
        error = DeadlineExceeded(f"The attempt ran past its deadline and did not stop ({context.kind}).")
        vault = context.tenancy.vault(context.tenant_id)
        outcome = failed(entry.job_id, entry.token, context.kind, error, context.attempt, vault, draw())
        self.hints.changed(record(self.platform, [outcome]))
        with self._lock:
            self._held.pop((entry.job_id, entry.token), None)
        log.error("job.overdue", job_id=str(entry.job_id), kind=context.kind)
        if self.on_overdue is not None:
            self.on_overdue(entry)


def _is_overdue(entry: Held, now: float) -> bool:
    return entry.context is not None and now > entry.context.deadline + OVERDUE_GRACE_SECONDS

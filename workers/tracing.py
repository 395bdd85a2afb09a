"""The spans of the dispatcher and the workers: a job's way to a worker, each message of several jobs, each attempt.

An attempt is a part of the trace of whoever submitted the job, however much later it runs, and links to the attempt before it. Jobs
that travel in one message keep their own traces: the message is a span apart, linked to each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, LiteralString

from config.telemetry import spans
from config.telemetry.spans import NOTHING, Nothing
from config.telemetry.trace import TraceContext, of_attempt, of_job, within
from jobs.dispatch import Picked
from tenancy.database import Database

if TYPE_CHECKING:
    from config.telemetry.recording import Span

_TRACES: LiteralString = "SELECT id, traceparent FROM jobs WHERE id = ANY(%(ids)s) AND stage = 'in_flight'"

Row = Mapping[str, Any]
"""A claimed job's."""


def attempt(row: Row, message: Span | Nothing) -> AbstractContextManager[Span | Nothing]:
    """Around one attempt of a job; what it causes comes under it. Recorded or not, logs find its trace id."""
    here = of_attempt(row["id"], row["attempt"], row["traceparent"])
    if not spans.is_on():
        return _unrecorded(here)
    links = [] if isinstance(message, Nothing) else [message.context]
    if row["attempt"] > 1:
        links.append(of_attempt(row["id"], row["attempt"] - 1, row["traceparent"]))
    attributes = {
        "messaging.system": "celery", "messaging.operation.type": "process", "messaging.destination.name": row["queue"],
        "nexus.job_id": str(row["id"]), "nexus.tenant_id": str(row["tenant_id"]), "nexus.attempt": row["attempt"],
    }  # fmt: skip
    parent = of_job(row["id"], row["traceparent"])
    return spans.begin(f"run {row['kind']}", "consumer", parent=parent, said=here, attributes=attributes, links=links)


@contextmanager
def _unrecorded(here: TraceContext) -> Iterator[Nothing]:
    with within(here):
        yield NOTHING


def message(rows: Sequence[Row]) -> AbstractContextManager[Span | Nothing]:
    """Around a message that carries several jobs."""
    if len(rows) < 2 or not spans.is_on():
        return nullcontext(NOTHING)
    attributes = {
        "messaging.system": "celery", "messaging.destination.name": rows[0]["queue"],
        "messaging.batch.message_count": len(rows),
    }  # fmt: skip
    links = [of_attempt(row["id"], row["attempt"], row["traceparent"]) for row in rows]
    return spans.begin(f"process {rows[0]['kind']}", "consumer", parent=None, attributes=attributes, links=links)


def dispatched(platform: Database, picked: Sequence[Picked], began_at: float) -> None:
    """Tell of jobs that were chosen and handed to the broker, from `began_at` (seconds of the epoch) until now."""
    if not spans.is_on() or not picked:
        return
    traces = {row["id"]: row["traceparent"] for row in platform.fetch(_TRACES, {"ids": [each.id for each in picked]})}
    for each in picked:
        attributes = {
            "messaging.system": "celery", "messaging.operation.type": "send", "messaging.destination.name": each.queue,
            "nexus.job_id": str(each.id),
        }  # fmt: skip
        parent = of_job(each.id, traces.get(each.id))
        spans.begin(
            f"dispatch {each.kind}", "producer", parent=parent, started_at=began_at, attributes=attributes
        ).end()

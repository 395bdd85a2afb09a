"""`usage.collect`: what the platform's tenants use becomes usage events of the operator's customers.

Jobs that succeeded are read in the order in which they finished, from a little before where the last run stopped: a job
whose transaction was slow is not passed over, and one that is read twice is one event, since its id is the transaction's.
Each event points at its job, so that an invoice line opens to the jobs that it bills.

What a tenant's own database has metered (messages, completions, searches) is passed on by a `usage.relay` job for each tenant
in which jobs have ended since, so a database that is down holds up nobody else. Once a day every tenant has one.

What the tenants may use by their plans is renewed at the end (`tasks.billing.allowances`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from domain.errors import NexusError, UniqueKeyTaken
from domain.ids import parse_id
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.kinds import KINDS
from jobs.submit import NewJob, submit
from models.tenant import Customer, UsageCursor, UsageEvent
from models.tenant.usage import record_usage
from tasks.billing.allowances import refresh_allowances
from tenancy.database import Row

CODES = {"search.query": "searches"}
"""Beside `jobs`, which counts each job that a tenant may submit."""
OVERLAP = timedelta(minutes=10)
FIRST_LOOK = timedelta(days=1)
LAG = timedelta(minutes=3)
"""How long a tenant is looked at after its last job: another run's relay may have been under way when that one ended."""
_PAGE = 2000

_FINISHED: LiteralString = """
SELECT id, tenant_id, kind, finished_at FROM jobs
 WHERE state = 'succeeded' AND tenant_id = ANY(%(tenants)s) AND kind = ANY(%(kinds)s)
   AND (finished_at, id) > (%(since)s, %(after)s::uuid) AND finished_at <= %(until)s
 ORDER BY finished_at, id LIMIT %(limit)s
"""


_ACTIVE: LiteralString = """
SELECT DISTINCT tenant_id FROM jobs
 WHERE state IN ('succeeded', 'failed', 'cancelled') AND tenant_id = ANY(%(tenants)s)
   AND finished_at > %(since)s AND finished_at <= %(until)s
"""


@handles("usage.collect")
def collect_usage(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Collect for every customer whose `external_id` is a tenant's id, from where the last run stopped until now."""
    del payload
    now = datetime.now(UTC)
    customers = _customers(context)
    events = 0
    if customers:
        since = _since(context, now)
        for page in _finished(context, list(customers), since, now):
            events += _insert(context, [event for row in page for event in _of_job(row, customers)])
        stored = list(_storage(context, customers, now))
        events += _insert(context, stored)
        measured = {UUID(event["source_id"]) for event in stored}
        _relay(context, _active(context, list(customers), since, now) | measured)
    quotas = refresh_allowances(context, customers, now)
    with context.session() as session:
        row = {"tenant_id": context.tenant_id, "source": "jobs", "until": now}
        moved = insert(UsageCursor).values(row)
        session.execute(
            moved.on_conflict_do_update(index_elements=["tenant_id", "source"], set_={"until": moved.excluded.until})
        )
    return {"customers": len(customers), "events": events, "quotas": quotas}


def _customers(context: JobContext) -> dict[UUID, UUID]:
    """The operator's customers by the tenant that each of them is."""
    named = select(Customer.external_id, Customer.id).where(Customer.external_id.is_not(None))
    with context.session() as session:
        pairs = [(parse_id(external_id or ""), customer_id) for external_id, customer_id in session.execute(named)]
    return {tenant_id: customer_id for tenant_id, customer_id in pairs if tenant_id is not None}


def _since(context: JobContext, now: datetime) -> datetime:
    with context.session() as session:
        cursor = session.get(UsageCursor, (context.tenant_id, "jobs"))
        return (now - FIRST_LOOK) if cursor is None else cursor.until - OVERLAP


def _finished(context: JobContext, tenants: list[UUID], since: datetime, until: datetime) -> Iterator[Sequence[Row]]:
    kinds = [kind.name for kind in KINDS.values() if kind.permission is not None]
    after = UUID(int=0)
    while True:
        context.check()
        parameters = {
            "tenants": tenants,
            "kinds": kinds,
            "since": since,
            "after": after,
            "until": until,
            "limit": _PAGE,
        }
        page = context.tenancy.platform.fetch(_FINISHED, parameters)
        if page:
            yield page
        if len(page) < _PAGE:
            return
        since, after = page[-1]["finished_at"], page[-1]["id"]


def _of_job(row: Row, customers: Mapping[UUID, UUID]) -> Iterator[dict[str, Any]]:
    for code in ("jobs", CODES.get(row["kind"])):
        if code is not None:
            yield {
                "transaction_id": f"{code}:{row['id']}", "customer_id": customers[row["tenant_id"]], "code": code,
                "timestamp": row["finished_at"], "properties": {"kind": row["kind"]}, "value": None,
                "source_type": "job", "source_id": str(row["id"]),
            }  # fmt: skip


def _storage(context: JobContext, customers: Mapping[UUID, UUID], now: datetime) -> Iterator[dict[str, Any]]:
    """Bytes in each tenant's bucket, once a day; a tenant whose bucket cannot be read is measured by the next run."""
    day = now.date().isoformat()
    with context.session() as session:
        todays = UsageEvent.transaction_id.in_([f"storage:{tenant_id}:{day}" for tenant_id in customers])
        known = set(session.scalars(select(UsageEvent.transaction_id).where(todays)))
    for tenant_id, customer_id in customers.items():
        name = f"storage:{tenant_id}:{day}"
        if name in known:
            continue
        context.check()
        try:
            size = sum(found.size for found in context.tenancy.bucket(tenant_id).list())
        except NexusError as error:
            context.log.warning("usage.bucket_unreadable", of=str(tenant_id), code=error.code)
            continue
        yield {
            "transaction_id": name, "customer_id": customer_id, "code": "storage", "timestamp": now,
            "properties": {"bytes": size}, "value": Decimal(size), "source_type": "bucket", "source_id": str(tenant_id),
        }  # fmt: skip


def _active(context: JobContext, tenants: list[UUID], since: datetime, until: datetime) -> set[UUID]:
    """The tenants in which jobs have ended since the last run, of whatever kind: they may have metered something."""
    parameters = {"tenants": tenants, "since": since + OVERLAP - LAG, "until": until}
    return {row["tenant_id"] for row in context.tenancy.platform.fetch(_ACTIVE, parameters)}


def _relay(context: JobContext, tenants: Iterable[UUID]) -> None:
    """Have what these tenants metered passed on. One whose relay is under way will be looked at again by the next run."""
    for tenant_id in tenants:
        context.check()
        job = NewJob(
            kind="usage.relay", payload={"tenant_id": str(tenant_id)}, principal=context.principal,
            unique_key=f"relay:{tenant_id}",
        )  # fmt: skip
        with contextlib.suppress(UniqueKeyTaken):
            submit(context.tenancy, job)


def _insert(context: JobContext, events: Sequence[Mapping[str, Any]]) -> int:
    with context.session() as session:
        return record_usage(session, context.tenant_id, events)

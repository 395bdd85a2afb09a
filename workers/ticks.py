"""What beat ticks: messages without a job, whose only work is to submit durable jobs that are due.

A lost tick is made good by the next; a doubled one finds its jobs submitted. So any number of beats do no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString

import structlog
from celery import Celery

from config.telemetry.counters import count
from config.telemetry.measures import TICKS
from domain.errors import UniqueKeyTaken
from domain.identity.principals import system
from jobs.backup_standing import look_at_the_platforms, look_at_the_tenants
from jobs.recovery import submit_platform_backup
from jobs.submit import NewJob, submit
from jobs.tenant_life import submit_backups
from tenancy.access import Tenancy
from workers.runtime import runtime
from workers.schedule import BACKUP_TICK, BILLING_TICK, CALLS_TICK, PLATFORM_BACKUP_TICK, SWEEP_TICK, USAGE_TICK

_OPERATOR: LiteralString = "SELECT id FROM tenants WHERE is_operator AND state = 'active'"
_DUE: LiteralString = "SELECT id FROM tenants WHERE billing_due_at <= now() AND state = 'active' LIMIT 10000"

log = structlog.get_logger(__name__)


def register(app: Celery) -> None:
    """Add the ticks' tasks to a worker's application."""
    app.task(name=BILLING_TICK, ignore_result=True)(_tick_billing)
    app.task(name=USAGE_TICK, ignore_result=True)(_tick_usage)
    app.task(name=SWEEP_TICK, ignore_result=True)(_tick_sweep)
    app.task(name=CALLS_TICK, ignore_result=True)(_tick_calls)
    app.task(name=BACKUP_TICK, ignore_result=True)(_tick_backups)
    app.task(name=PLATFORM_BACKUP_TICK, ignore_result=True)(_tick_platform_backups)


def _tick_billing() -> int:
    count(TICKS, BILLING_TICK)
    tenancy = runtime().tenancy
    return submit_due_cycles(tenancy, now_of(tenancy))


def _tick_usage() -> int:
    count(TICKS, USAGE_TICK)
    return submit_operators(runtime().tenancy, "usage.collect", {})


def _tick_sweep() -> int:
    count(TICKS, SWEEP_TICK)
    tenancy = runtime().tenancy
    if tenancy.settings.stripe_api_key is None:
        return 0
    return submit_operators(tenancy, "webhook.sweep", {"source": "stripe"})


def _tick_calls() -> int:
    count(TICKS, CALLS_TICK)
    return submit_operators(runtime().tenancy, "completion.sweep", {})


def submit_operators(tenancy: Tenancy, kind: str, payload: Mapping[str, Any]) -> int:
    """Submit a job of the operator's tenant, one at a time; returns how many were new."""
    submitted = 0
    for row in tenancy.platform.fetch(_OPERATOR, {}):
        job = NewJob(kind=kind, payload=payload, principal=system("beat", row["id"]), unique_key="tick")
        try:
            submitted += submit(tenancy, job).created
        except UniqueKeyTaken:
            continue
    return submitted


def _tick_backups() -> int:
    count(TICKS, BACKUP_TICK)
    tenancy = runtime().tenancy
    submitted = submit_backups(tenancy)
    look_at_the_tenants(tenancy)
    return submitted


def _tick_platform_backups() -> int:
    count(TICKS, PLATFORM_BACKUP_TICK)
    tenancy = runtime().tenancy
    submitted = submit_platform_backup(tenancy, now_of(tenancy))
    look_at_the_platforms(tenancy)
    return submitted


def now_of(tenancy: Tenancy) -> datetime:
    """The database's clock: what is due must not depend on which machine's clock has jumped."""
    moment: datetime = tenancy.platform.fetch("SELECT now() AS now", {})[0]["now"]
    return moment


def submit_due_cycles(tenancy: Tenancy, now: datetime) -> int:
    """Submit `billing.cycle` for each tenant with a period that has ended; returns how many were new.

    One live cycle per tenant at a time: the unique key refuses a second.
    """
    submitted = 0
    for row in tenancy.platform.fetch(_DUE, {}):
        cycle = NewJob(
            kind="billing.cycle", payload={"until": now.isoformat()}, principal=system("beat", row["id"]), unique_key="cycle"
        )  # fmt: skip
        try:
            submitted += submit(tenancy, cycle).created
        except UniqueKeyTaken:
            continue
    if submitted:
        log.info("billing.cycles_submitted", count=submitted)
    return submitted

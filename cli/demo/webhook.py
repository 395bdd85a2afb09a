"""A signed event of Stripe, delivered twice: it becomes one job of the operator's tenant."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.client import Client
from cli.demo.stage import PartFailed, Stage
from cli.errors import Problem
from cli.login import list_tenants
from cli.watch import Job, describe, is_finished
from domain.billing.signatures import sign_stripe

SECRET = "STRIPE_WEBHOOK_SECRET"  # noqa: S105  # the name of the variable
AMOUNT = 2900
CLOCKS = timedelta(seconds=30)
"""How far the database's clock may be behind ours."""
UNHANDLED = "nexus.demo"
"""A type that Stripe does not have."""
PATH = "/api/v1/webhooks/stripe"


def deliver(stage: Stage) -> str:
    """Sign a payment's success as Stripe does, deliver it twice, and find its one job as the operator."""
    secret = stage.environment.get(SECRET)
    if not secret:
        raise PartFailed(f"{SECRET} is not set, so nobody can sign for Stripe")
    event = _event(stage.outside_vendors)
    since = datetime.now(UTC) - CLOCKS
    for _ in range(2):
        _post(stage, secret, event)
    what = f"{event['type']} {event['id']} accepted, its repetition too"
    operator = _operator(stage)
    if operator is None:
        return f"{what}; no administrator's password is at hand (NEXUS_ADMIN_PASSWORD), so its job was not looked at"
    jobs = stage.until("the event's job", lambda: _finished_jobs(stage, operator, since))
    ours = [job for job in jobs if _is_of(job, event)]
    if not ours:
        failed = next((job["error"] for job in jobs if job["error"] is not None), {"detail": "none is the event's"})
        raise PartFailed(f"{event['id']} was accepted, but no job handled it: {failed['detail']}")
    if len(ours) > 1 and not stage.outside_vendors:
        raise PartFailed(f"{event['id']} was delivered twice and made {len(ours)} jobs")
    result = ours[0]["result"]
    outcome = f"payment {result['payment_state']}" if result["handled"] else "event type not handled"
    return f"{what}; one job {ours[0]['id']}: {outcome}"


def _event(outside_vendors: bool) -> Mapping[str, Any]:
    """A new event. Where Stripe itself would be asked about it, a type that nobody handles: it knows no payment of ours."""
    number = secrets.token_hex(12)
    intent = {
        "id": f"pi_demo_{number}",
        "object": "payment_intent",
        "status": "succeeded",
        "amount": AMOUNT,
        "amount_received": AMOUNT,
        "currency": "eur",
        "metadata": {},
    }
    kind = UNHANDLED if outside_vendors else "payment_intent.succeeded"
    return {
        "id": f"evt_demo_{number}",
        "object": "event",
        "type": kind,
        "created": int(time.time()),
        "data": {"object": intent},
    }


def _post(stage: Stage, secret: str, event: Mapping[str, Any]) -> None:
    raw = json.dumps(event).encode()
    headers = {"Content-Type": "application/json", "Stripe-Signature": sign_stripe(raw, secret, int(time.time()))}
    answer = stage.anonymous().send("POST", PATH, content=raw, headers=headers)
    if answer.body != {"received": True}:
        raise PartFailed(f"the webhook answered {answer.body!r}")


def _operator(stage: Stage) -> Client | None:
    """The operator's tenant; None if nobody knows the administrator's password, as on a platform that others started."""
    if stage.administrator is None:
        return None
    try:
        token = stage.log_in(*stage.administrator)
    except Problem as problem:
        if problem.code != "invalid_credentials":
            raise
        return None
    tenants = list_tenants(stage.client(token))
    own = next((tenant for tenant in tenants if tenant["is_operator"]), None)
    if own is None:
        return None
    return stage.client(token, own["id"])


def _finished_jobs(stage: Stage, operator: Client, since: datetime) -> list[Job] | None:
    """The jobs of events since then, when there are some and all have finished."""
    page = operator.get("/api/v1/jobs", kind="webhook.process", limit=200, **{"created_at[gte]": since.isoformat()})
    jobs: list[Job] = page["items"]
    stage.tell("; ".join(map(describe, jobs[:3])) or "no job yet")
    return jobs if jobs and all(map(is_finished, jobs)) else None


def _is_of(job: Job, event: Mapping[str, Any]) -> bool:
    """Whether a finished job took in this event; of an unhandled one the result names no payment."""
    result = job["result"]
    if result is None or not result["handled"]:
        return result is not None and event["type"] == UNHANDLED
    return bool(result["payment_id"] == event["data"]["object"]["id"])

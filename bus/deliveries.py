"""Deliveries of events to endpoints: scheduled, begun, ended, and read back.

An attempt is written before the call and closed after it, so a worker that is lost leaves a trace, and the next attempt
knows its number. No connection is held during the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from bus.endpoints import FAILING, GONE, disable, secrets
from bus.events import Event, opened
from domain.errors import NotFound, Permanent
from domain.identity.principals import system
from domain.ids import new_id
from domain.webhooks.delivery import GIVE_UP_AFTER, Decision, Verdict
from jobs.submit import INSERT, INTERNAL, NewJob, insert_parameters
from models.platform import Event as EventRow
from models.platform import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from tenancy.access import Tenancy
from tenancy.database import Row, tenant_scope
from tenancy.identity.keyset import keyset

# The job tells what the row cannot: that it was cancelled, or ended without its handler.
_SELECT: LiteralString = """
SELECT d.id, d.endpoint_id, d.event_id, e.name AS event_type, d.job_id, d.redelivery_of,
       CASE WHEN d.state <> 'pending' THEN d.state WHEN j.state = 'cancelled' THEN 'cancelled'
            WHEN j.id IS NULL OR j.state = 'failed' THEN 'failed' ELSE 'pending' END AS state,
       (SELECT count(*) FROM webhook_attempts a WHERE a.delivery_id = d.id) AS attempts,
       (SELECT a.response_status FROM webhook_attempts a WHERE a.delivery_id = d.id ORDER BY a.number DESC LIMIT 1)
           AS response_status,
       CASE WHEN d.state = 'pending' AND j.state IN ('scheduled', 'queued', 'dispatched', 'retrying') THEN j.run_at END
           AS next_attempt_at,
       d.created_at, d.finished_at
  FROM webhook_deliveries d JOIN events e ON e.id = d.event_id LEFT JOIN jobs j ON j.id = d.job_id
 WHERE d.tenant_id = %(tenant_id)s AND d.endpoint_id = %(endpoint_id)s
"""
_ONE: LiteralString = _SELECT + " AND d.id = %(id)s"
_LISTED: LiteralString = _SELECT + " AND (%(event_id)s::uuid IS NULL OR d.event_id = %(event_id)s)"


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt that is to be made now."""

    attempt_id: UUID
    url: str
    secrets: tuple[str, ...]
    event: Event


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: a status, or the code of the error that left none."""

    duration_ms: int
    status: int | None
    body: bytes
    error_code: str | None


def schedule(
    session: Session,
    tenancy: Tenancy,
    endpoint: WebhookEndpoint,
    event_id: UUID,
    *,
    delivery_id: UUID,
    redelivery_of: UUID | None = None,
) -> None:
    """Insert a delivery and its job in the caller's transaction; one of that id that is there already stays as it is."""
    if session.get(WebhookDelivery, delivery_id) is not None:
        return
    new = NewJob(
        kind="webhook.deliver", payload={"delivery_id": str(delivery_id)},
        principal=system("events", endpoint.tenant_id), idempotency_key=f"{INTERNAL}delivery:{delivery_id}",
    )  # fmt: skip
    job = insert_parameters(tenancy, new)
    session.connection().exec_driver_sql(INSERT, job)
    session.add(
        WebhookDelivery(
            id=delivery_id, tenant_id=endpoint.tenant_id, endpoint_id=endpoint.id, event_id=event_id, job_id=job["id"],
            redelivery_of=redelivery_of,
        )
    )  # fmt: skip
    session.flush()


def begin(tenancy: Tenancy, tenant_id: UUID, delivery_id: UUID) -> Call | None:
    """Write down that an attempt begins; None if an earlier one delivered and its worker was lost before it could say so.

    Raises `Permanent` (`endpoint_deleted`, `endpoint_disabled`).
    """
    vault, now = tenancy.vault(tenant_id), datetime.now(UTC)
    with tenancy.platform.session(tenant_scope(tenant_id)) as session:
        delivery = session.get(WebhookDelivery, delivery_id, with_for_update=True)
        if delivery is None or delivery.tenant_id != tenant_id:
            raise Permanent("The endpoint was deleted.", code="endpoint_deleted")
        if delivery.state == "delivered":
            return None
        endpoint = session.get_one(WebhookEndpoint, delivery.endpoint_id)
        if endpoint.disabled_at is None:
            return Call(
                attempt_id=_attempt(session, delivery, now),
                url=endpoint.url,
                secrets=tuple(secrets(endpoint, vault, now)),
                event=_event(session, delivery, tenancy),
            )
        delivery.state, delivery.finished_at = "failed", func.now()
    raise Permanent("The endpoint is disabled.", code="endpoint_disabled")


def end(
    tenancy: Tenancy, tenant_id: UUID, delivery_id: UUID, attempt_id: UUID, outcome: Outcome, decision: Decision
) -> None:
    """Write down what came of an attempt, for the attempt, the delivery and the endpoint, in one transaction."""
    vault, now = tenancy.vault(tenant_id), datetime.now(UTC)
    with tenancy.platform.session(tenant_scope(tenant_id)) as session:
        delivery = session.get(WebhookDelivery, delivery_id, with_for_update=True)
        if delivery is None:
            return  # the endpoint was deleted meanwhile
        attempt = session.get_one(WebhookAttempt, attempt_id)
        attempt.finished_at, attempt.duration_ms = now, outcome.duration_ms
        attempt.response_status, attempt.error_code = outcome.status, outcome.error_code
        if outcome.body:
            attempt.response_sealed = vault.seal(outcome.body, "webhook_attempts", "response_sealed", attempt_id)
        if decision.verdict is not Verdict.RETRY and delivery.state != "delivered":
            delivery.state, delivery.finished_at = decision.verdict.value, now
        endpoint = session.get_one(WebhookEndpoint, delivery.endpoint_id)
        if decision.verdict is Verdict.DELIVERED:
            if endpoint.failing_since is not None:
                endpoint.failing_since = None
            return
        endpoint = session.get_one(WebhookEndpoint, delivery.endpoint_id, with_for_update=True, populate_existing=True)
        if endpoint.failing_since is None:
            endpoint.failing_since = now
        if decision.gone:
            disable(session, vault, endpoint, GONE)
        elif now - endpoint.failing_since >= GIVE_UP_AFTER:
            disable(session, vault, endpoint, FAILING)


def get(tenancy: Tenancy, tenant_id: UUID, endpoint_id: UUID, delivery_id: UUID) -> Row:
    """One delivery of the tenant's endpoint. Raises `NotFound`."""
    parameters = {"tenant_id": tenant_id, "endpoint_id": endpoint_id, "id": delivery_id}
    rows = tenancy.platform.fetch(_ONE, parameters, tenant_scope(tenant_id))
    if not rows:
        raise NotFound(f"There is no delivery {delivery_id} to the webhook endpoint {endpoint_id}.")
    return rows[0]


def page(
    tenancy: Tenancy, tenant_id: UUID, endpoint_id: UUID, *, event_id: UUID | None, after: UUID | None, limit: int,
    newest_first: bool,
) -> list[Row]:  # fmt: skip
    """Up to `limit` deliveries to the endpoint, beyond the id `after`."""
    parameters = {
        "tenant_id": tenant_id, "endpoint_id": endpoint_id, "event_id": event_id, "after": after, "limit": limit,
    }  # fmt: skip
    return tenancy.platform.fetch(
        keyset(_LISTED, "d.id", newest_first=newest_first), parameters, tenant_scope(tenant_id)
    )


def attempts(tenancy: Tenancy, tenant_id: UUID, delivery_id: UUID) -> list[dict[str, Any]]:
    """The delivery's attempts in order, each with the beginning of its answer, opened, as text."""
    vault = tenancy.vault(tenant_id)
    with tenancy.platform.session(tenant_scope(tenant_id)) as session:
        rows = session.scalars(
            select(WebhookAttempt).where(WebhookAttempt.delivery_id == delivery_id).order_by(WebhookAttempt.number)
        ).all()
    return [
        {
            "number": row.number,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
            "duration_ms": row.duration_ms,
            "response_status": row.response_status,
            "error_code": row.error_code,
            "response_body": None
            if row.response_sealed is None
            else vault.open(bytes(row.response_sealed), "webhook_attempts", "response_sealed", row.id).decode(
                errors="replace"
            ),
        }
        for row in rows
    ]


def _attempt(session: Session, delivery: WebhookDelivery, now: datetime) -> UUID:
    """Insert the next attempt. One that is still open has lost its worker: whoever runs now holds the job's lease."""
    session.execute(
        update(WebhookAttempt)
        .where(WebhookAttempt.delivery_id == delivery.id, WebhookAttempt.finished_at.is_(None))
        .values(finished_at=now, error_code="interrupted")
    )
    last = session.scalar(select(func.max(WebhookAttempt.number)).where(WebhookAttempt.delivery_id == delivery.id))
    attempt_id = new_id()
    session.add(
        WebhookAttempt(
            id=attempt_id, tenant_id=delivery.tenant_id, delivery_id=delivery.id, number=(last or 0) + 1, started_at=now
        )
    )
    return attempt_id


def _event(session: Session, delivery: WebhookDelivery, tenancy: Tenancy) -> Event:
    row = session.get_one(EventRow, delivery.event_id)
    facts = {"id": row.id, "name": row.name, "payload_sealed": row.payload_sealed, "created_at": row.created_at}
    return opened(facts, tenancy.vault(delivery.tenant_id))

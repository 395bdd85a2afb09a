"""Delivering events to tenants' endpoints, and telling a tenant that one was given up."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from bus.deliveries import Call, Outcome, begin, end
from bus.events import Event
from bus.subscribers import subscribes
from config.telemetry import spans, trace
from domain.destinations import parse_destination, parse_networks
from domain.errors import InvalidPayload, Permanent, Transient
from domain.webhooks.delivery import RESPONSE_LIMIT, TIMEOUT_SECONDS, Verdict, decide
from domain.webhooks.signatures import signed_headers
from jobs.context import JobContext, draw
from jobs.handlers import handles
from models.platform import Membership, MembershipRole, Role, User
from providers.calls import Calling
from providers.outbound import post
from providers.retry_after import retry_after
from tenancy.database import tenant_scope


@handles("webhook.deliver")
def deliver(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make one attempt. At least once: a worker lost after the receiver's answer leads to another with the same id.

    Raises `Transient` with the schedule's wait, and `Permanent` when no attempt is left or the endpoint wants no more.
    """
    context.check()
    delivery_id = payload["delivery_id"]
    call = begin(context.tenancy, context.tenant_id, delivery_id)
    if call is None:
        return {"delivered": True}
    outcome, wait = _call(context, call)
    decision = decide(outcome.status, context.attempt, draw(), wait)
    end(context.tenancy, context.tenant_id, delivery_id, call.attempt_id, outcome, decision)
    if decision.verdict is Verdict.DELIVERED:
        return {"delivered": True, "response_status": outcome.status}
    told = f"The endpoint answered {outcome.status}." if outcome.status else f"No answer: {outcome.error_code}."
    if decision.verdict is Verdict.RETRY:
        raise Transient(told, code="webhook_not_delivered", retry_after=decision.delay)
    raise Permanent(told, code="endpoint_gone" if decision.gone else "webhook_not_delivered")


def _call(context: JobContext, call: Call) -> tuple[Outcome, float | None]:
    """Send the event; also how many seconds the receiver asks to wait. The address is judged anew each time."""
    body = json.dumps(call.event.as_json(), separators=(",", ":")).encode()
    headers = {
        "content-type": "application/json",
        "user-agent": "Nexus-Webhooks/1",
        "accept-encoding": "identity",
        **signed_headers(str(call.event.id), int(time.time()), body, call.secrets),
    }
    allowed = parse_networks(context.settings.webhook_private_networks)
    started = time.monotonic()
    try:
        destination = parse_destination(call.url, allowed)
        with Calling("webhook", "deliver") as calling:
            if spans.is_on():  # so that the receiver can go on in the trace
                headers["traceparent"] = trace.traceparent() or ""
            answer = post(
                destination, headers, body, allowed=allowed, timeout=TIMEOUT_SECONDS, limit=RESPONSE_LIMIT
            )  # fmt: skip
            if not 200 <= answer.status < 300:
                calling.failed(f"http_{answer.status}")
    except InvalidPayload:  # the operator's list has changed since the URL was taken
        return Outcome(0, None, b"", "address_refused"), None
    except Transient as error:
        return Outcome(_elapsed_ms(started), None, b"", error.job_code), None
    wait = retry_after(answer.headers) if answer.status in {429, 503} else None
    return Outcome(_elapsed_ms(started), answer.status, answer.body, None), wait


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


@subscribes("webhook_endpoint.disabled")
def tell_owners(context: JobContext, event: Event) -> None:
    """Write to the tenant's owners: from now on they miss events."""
    endpoint = event.data["webhook_endpoint"]
    reasons = {"gone": "its receiver answered 410", "failing": "nothing could be delivered to it for days"}
    text = (
        f"Hello,\n\nthe webhook endpoint {endpoint['id']} of {context.tenant.name} was disabled, because "
        f"{reasons[endpoint['reason']]}.\nMend it, enable it again, and repeat the deliveries that failed.\n\nNexus\n"
    )
    for email in _owners(context):
        message = {"to": email, "subject": "A webhook endpoint was disabled", "text": text}
        context.submit("notification.deliver", message, key=email)


def _owners(context: JobContext) -> list[str]:
    with context.tenancy.platform.session(tenant_scope(context.tenant_id)) as session:
        return list(
            session.scalars(
                select(User.email)
                .join(Membership, Membership.user_id == User.id)
                .join(
                    MembershipRole,
                    (MembershipRole.tenant_id == Membership.tenant_id) & (MembershipRole.user_id == User.id),
                )
                .join(Role, (Role.tenant_id == MembershipRole.tenant_id) & (Role.id == MembershipRole.role_id))
                .where(
                    Membership.tenant_id == context.tenant_id,
                    Role.name == "owner",
                    Role.is_system,
                    User.disabled_at.is_(None),
                )
                .order_by(User.email)
            )
        )

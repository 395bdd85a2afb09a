"""Notifications: handed to a job to deliver, and read back with what became of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint
from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.errors import FieldError, IllegalTransition, InvalidPayload, NotFound
from domain.jobs.states import JobState
from domain.notifications.channels import normal_address
from domain.notifications.decision import Rule, decide
from domain.notifications.delivery import FORWARD
from domain.notifications.timeline import Step, timeline
from jobs.control import cancel
from jobs.submissions import Submission, submission
from jobs.submit import submit
from models.tenant import Message, MessageAttempt, MessageEvent, Recipient
from models.tenant.message_reports import engage
from models.tenant.standing import recipient_at, settings_of, standing, suppressions_of
from web.auth import can
from web.context import tenancy, tenant_id
from web.jobs_response import accepted, new_job
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import page_schema
from web.schemas.jobs import JobSchema
from web.schemas.notifications import (
    DeliveryExplanationSchema,
    DeliveryQuestionSchema,
    EngagementSchema,
    NotificationDetailSchema,
    NotificationFilterSchema,
    NotificationRequestSchema,
    NotificationSchema,
    is_for_many,
)

blueprint = Blueprint("notifications", __name__, description="Messages to people")

KIND = "notification.deliver"

_EXAMPLE = {"to": "ada@example.com", "subject": "Your invoice", "text": "Hello Ada, your invoice is ready."}


@blueprint.route("/notifications/send", methods=["POST"])
@can("notification:create")
@blueprint.arguments(NotificationRequestSchema, example=_EXAMPLE)
@blueprint.response(202, JobSchema, description="The job that delivers it.")
@blueprint.alt_response(200, schema=JobSchema, description="The finished job, for a client that waited.")
def send_notification(message: dict[str, Any]) -> Response:
    """Send a message to one address, or a notification to several people.

    With `to` it answers with the job that delivers the message, which has the job's id. With `recipients` it answers with the
    job that makes a message for each person and channel; its result names them. Repeating the request with the same
    `Idempotency-Key` answers with the same job and sends nothing twice.
    """
    kind = "notification.send" if is_for_many(message) else KIND
    return accepted(submit(tenancy(), new_job(kind, message)))


@blueprint.route("/notifications/history", methods=["GET"])
@can("notification:read")
@blueprint.arguments(NotificationFilterSchema, location="query")
@blueprint.response(200, page_schema(NotificationSchema))
def list_notifications(arguments: dict[str, Any]) -> tuple[Envelope[Message], dict[str, str]]:
    """List the tenant's notifications, newest first unless asked otherwise."""
    return list_rows(Message, arguments)


@blueprint.route("/notifications/explain", methods=["POST"])
@can("notification:read")
@blueprint.arguments(
    DeliveryQuestionSchema, example={"recipient": "user-42", "channel": "email", "category": "billing"}
)
@blueprint.response(200, DeliveryExplanationSchema)
def explain_notification(asked: dict[str, Any]) -> dict[str, Any]:
    """Tell whether a message would be sent, and which rule decides. Sends nothing."""
    channel, now = asked["channel"], asked["at"] or datetime.now(UTC)
    with tenancy().session(tenant_id()) as session:
        person, address = _asked_for(session, asked)
        found = suppressions_of(session, tenant_id(), channel, [address])
        facts = standing(settings_of(session, tenant_id()), person, found.get(address, ()))
    decision = decide(facts, channel=channel, category=asked["category"], critical=asked["critical"], now=now)
    return {
        "outcome": decision.outcome.value, "rule": decision.rule.value, "detail": decision.detail, "until": decision.until,
        "order": [rule.value for rule in Rule],
    }  # fmt: skip


@blueprint.route("/notifications/<uuid:notification_id>", methods=["GET"])
@can("notification:read")
@blueprint.response(200, NotificationDetailSchema)
def get_notification(notification_id: UUID) -> dict[str, Any]:
    """Read a message with its attempts and its timeline.

    It can be read as soon as it was accepted: until a worker takes it up, it is `queued` and has no attempts.
    """
    return _shown(notification_id)


@blueprint.route("/notifications/<uuid:notification_id>/cancel", methods=["POST"])
@can("notification:cancel")
@blueprint.response(200, NotificationDetailSchema)
def cancel_notification(notification_id: UUID) -> dict[str, Any]:
    """Cancel a message that no provider has been asked about yet. Cancelling twice is the same as once.

    409 if it is too late: a provider has it, or may have.
    """
    # A message that is there may have had no job of its own, or one that has ended: the message tells how.
    tolerated = (IllegalTransition, NotFound) if _stop_message(notification_id) else (IllegalTransition,)
    with contextlib.suppress(*tolerated):
        cancel(tenancy(), tenant_id(), notification_id)
    shown = _shown(notification_id)
    if shown["status"] != "not_sent":
        raise IllegalTransition(f"The message is {shown['status']}; a provider has it, or may have.")
    return shown


@blueprint.route("/notifications/<uuid:notification_id>/engagement", methods=["POST"])
@can("notification:update")
@blueprint.arguments(EngagementSchema)
@blueprint.response(200, NotificationDetailSchema)
def note_engagement(engagement: dict[str, Any], notification_id: UUID) -> dict[str, Any]:
    """Note that a message was seen, read or clicked. Each moment is kept as it was first told."""
    with tenancy().session(tenant_id()) as session:
        if session.get(Message, (tenant_id(), notification_id)) is None:
            raise NotFound(f"There is no message {notification_id}.")
        engage(session, tenant_id(), notification_id, engagement["event"], key=engagement["event"], source="app")
    return _shown(notification_id)


def _stop_message(message_id: UUID) -> bool:
    """Move a message that is not being handed over to `not_sent`; whether there is a row of it.

    The row is locked, as by whoever claims it, so a message is either claimed or cancelled. Raises `NotFound` for what is
    neither a message nor the job of one.
    """
    with tenancy().session(tenant_id()) as session:
        message = session.get(Message, (tenant_id(), message_id), with_for_update=True)
        if message is None:
            submission(tenancy(), tenant_id(), KIND, message_id)
            return False
        calling = session.scalar(
            select(MessageAttempt.id).where(
                MessageAttempt.tenant_id == tenant_id(), MessageAttempt.message_id == message_id,
                MessageAttempt.state == "calling",
            )
        )  # fmt: skip
        if calling is not None:
            raise IllegalTransition("A provider is being asked to send the message.")
        if message.status in FORWARD["not_sent"]:
            message.status, message.reason = "not_sent", "cancelled"
    return True


def _shown(notification_id: UUID) -> dict[str, Any]:
    with tenancy().session(tenant_id()) as session:
        message = session.get(Message, (tenant_id(), notification_id))
        attempts = session.scalars(
            select(MessageAttempt)
            .where(MessageAttempt.tenant_id == tenant_id(), MessageAttempt.message_id == notification_id)
            .order_by(MessageAttempt.number)
        ).all()
        events = session.scalars(
            select(MessageEvent)
            .where(MessageEvent.tenant_id == tenant_id(), MessageEvent.message_id == notification_id)
            .order_by(MessageEvent.at, MessageEvent.id)
        ).all()
    if message is None:
        return _not_begun(submission(tenancy(), tenant_id(), KIND, notification_id))
    return {**_columns(message), "attempts": attempts, "timeline": _timeline(message, attempts, events)}


def _asked_for(session: Session, asked: Mapping[str, Any]) -> tuple[Recipient | None, str]:
    """The person and the address. Raises `NotFound` for an unknown person and `InvalidPayload` for an unusable address."""
    channel = asked["channel"]
    if asked["to"] is not None:
        try:
            address = normal_address(channel, asked["to"])
        except ValueError as error:
            raise InvalidPayload(
                "The address is invalid.", errors=(FieldError("/to", "invalid", str(error)),)
            ) from None
        return recipient_at(session, tenant_id(), channel, address), address
    person = recipient_at(session, tenant_id(), "in_app", asked["recipient"])
    if person is None:
        raise NotFound(f"There is no recipient {asked['recipient']!r}.")
    address = {"email": person.email, "sms": person.phone}.get(channel) or person.external_id
    return person, address


def _timeline(message: Message, attempts: Sequence[MessageAttempt], events: Sequence[MessageEvent]) -> list[Step]:
    steps = [Step(message.created_at, "accepted", "nexus")]
    if message.held_until is not None:
        steps.append(Step(message.created_at, "held", "nexus", f"until {message.held_until:%Y-%m-%dT%H:%MZ}"))
    for attempt in attempts:
        steps.append(Step(attempt.started_at, "attempted", attempt.provider))
        if attempt.finished_at is not None:
            steps.append(
                Step(attempt.finished_at, attempt.state, attempt.provider, attempt.error_code or attempt.detail)
            )
    steps += [Step(each.at, each.event, each.source, each.detail) for each in events]
    return timeline(steps)


def _columns(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in _SHOWN}


_SHOWN = (
    "id", "notification_id", "channel", "recipient", "subject", "category", "body_text", "body_html", "status", "reason",
    "provider", "provider_id", "created_at", "held_until", "sent_at", "delivered_at", "seen_at", "read_at", "clicked_at",
    "locale", "template", "template_version",
)  # fmt: skip


def _not_begun(accepted_as: Submission) -> dict[str, Any]:
    """The message that the job will write down when it begins. A job that ended before it began has not sent it."""
    job, payload = accepted_as.row, accepted_as.payload
    ended = job["state"] in {JobState.FAILED, JobState.CANCELLED}
    return {
        **dict.fromkeys(_SHOWN),
        "id": job["id"],
        "notification_id": payload["notification_id"],
        "channel": payload["channel"],
        "recipient": payload["to"],
        "subject": payload["subject"] or "",
        "category": payload["category"],
        "body_text": payload["text"] or "",
        "body_html": payload["html"],
        "status": "not_sent" if ended else "queued",
        "reason": "cancelled" if job["state"] == JobState.CANCELLED else None,
        "created_at": job["created_at"],
        "attempts": [],
        "timeline": [Step(job["created_at"], "accepted", "nexus")],
    }

"""Notifications: handed to a job to deliver, and read back with what became of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint
from sqlalchemy import select

from domain.jobs.states import JobState
from jobs.payloads.notifications import NotificationDeliverSchema
from jobs.submissions import Submission, submission
from jobs.submit import submit
from models.tenant import Message, MessageAttempt
from web.auth import can
from web.context import tenancy, tenant_id
from web.jobs_response import accepted, new_job
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import page_schema
from web.schemas.jobs import JobSchema
from web.schemas.notifications import (
    NotificationDetailSchema,
    NotificationFilterSchema,
    NotificationSchema,
)

blueprint = Blueprint("notifications", __name__, description="Messages to people")

KIND = "notification.deliver"

_EXAMPLE = {"to": "ada@example.com", "subject": "Your invoice", "text": "Hello Ada, your invoice is ready."}


@blueprint.route("/notifications/send", methods=["POST"])
@can("notification:create")
@blueprint.arguments(NotificationDeliverSchema, example=_EXAMPLE)
@blueprint.response(202, JobSchema, description="The job that delivers it.")
@blueprint.alt_response(200, schema=JobSchema, description="The finished job, for a client that waited.")
def send_notification(message: dict[str, Any]) -> Response:
    """Send a message to one recipient.

    Answers with the job that delivers it; the notification has the job's id. Repeating the request with the same
    `Idempotency-Key` answers with the same job and sends nothing twice.
    """
    return accepted(submit(tenancy(), new_job(KIND, message)))


@blueprint.route("/notifications/history", methods=["GET"])
@can("notification:read")
@blueprint.arguments(NotificationFilterSchema, location="query")
@blueprint.response(200, page_schema(NotificationSchema))
def list_notifications(arguments: dict[str, Any]) -> tuple[Envelope[Message], dict[str, str]]:
    """List the tenant's notifications, newest first unless asked otherwise."""
    return list_rows(Message, arguments)


@blueprint.route("/notifications/<uuid:notification_id>", methods=["GET"])
@can("notification:read")
@blueprint.response(200, NotificationDetailSchema)
def get_notification(notification_id: UUID) -> dict[str, Any]:
    """Read a notification with its attempts.

    It can be read as soon as it was accepted: until a worker takes it up, it is `queued` and has no attempts.
    """
    with tenancy().session(tenant_id()) as session:
        message = session.get(Message, (tenant_id(), notification_id))
        of_message = (MessageAttempt.tenant_id == tenant_id(), MessageAttempt.message_id == notification_id)
        attempts = session.scalars(select(MessageAttempt).where(*of_message).order_by(MessageAttempt.number)).all()
    if message is None:
        return _not_begun(submission(tenancy(), tenant_id(), KIND, notification_id))
    return {**_columns(message), "attempts": attempts}


def _columns(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in _SHOWN}


_SHOWN = (
    "id", "channel", "recipient", "subject", "body_text", "body_html", "status", "provider", "provider_id", "created_at",
    "sent_at",
)  # fmt: skip


def _not_begun(accepted_as: Submission) -> dict[str, Any]:
    """The message that the job will write down when it begins. A job that ended before it began has not sent it."""
    job, payload = accepted_as.row, accepted_as.payload
    ended = job["state"] in {JobState.FAILED, JobState.CANCELLED}
    return {
        "id": job["id"],
        "channel": payload["channel"],
        "recipient": payload["to"],
        "subject": payload["subject"],
        "body_text": payload["text"],
        "body_html": payload["html"],
        "status": "not_sent" if ended else "queued",
        "provider": None,
        "provider_id": None,
        "created_at": job["created_at"],
        "sent_at": None,
        "attempts": [],
    }

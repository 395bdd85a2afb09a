"""What comes back from outside: providers' signed reports, and people who unsubscribe."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import structlog
from flask import Response, request
from flask_smorest import Blueprint

from domain.errors import InvalidSignature, MalformedRequest, NotFound
from domain.identity.principals import system
from domain.notifications.callbacks import Report, read_standard, read_twilio, verify_standard, verify_twilio
from domain.notifications.links import PLATFORM_ACCOUNT, Purpose, link_key, read_token
from domain.notifications.provider_types import TYPES
from domain.notifications.sns import read_sns
from jobs.submit import NewJob, submit
from models.tenant import Message, NotificationProvider
from models.tenant.message_reports import suppress, take
from tenancy.audit import current_origin, set_origin
from web.arguments import parse_json
from web.auth import public
from web.context import tenancy
from web.schemas.webhooks import WebhookReceivedSchema
from web.tracing import request_id, traceparent

blueprint = Blueprint("notification_callbacks", __name__, description="What providers and recipients report")

log = structlog.get_logger(__name__)

_MESSAGE = {
    "name": "message_id", "in": "query", "required": False, "schema": {"type": "string", "format": "uuid"},
    "description": "The message that the report is about; the platform adds it to addresses that it gives to providers.",
}  # fmt: skip
_REPORT = {
    "required": True,
    "description": "A form of Twilio's, JSON of a relay, signed as Standard Webhooks are, or what Amazon SNS delivers.",
    "content": {
        "application/x-www-form-urlencoded": {"schema": {"type": "object"}},
        "application/json": {
            "schema": {"type": "object", "required": ["event"], "properties": {"event": {"type": "string"}}},
            "example": {"event": "bounced", "hard": True, "message_id": "019ab5f0-6a3e-7c52-9f0e-3d0f6f3b8a21"},
        },
    },
}


@blueprint.route("/notifications/callbacks/<string:token>", methods=["POST"], parameters=[_MESSAGE])
@public
@blueprint.response(200, WebhookReceivedSchema)
@blueprint.alt_response(400, "BAD_REQUEST")
@blueprint.doc(requestBody=_REPORT)
def receive_report(token: str) -> dict[str, bool]:
    """Receive a provider's report about a message.

    The address names the account, and the account's secret signs the body. What was told before, or tells nothing, is
    answered the same. Statuses only move forward. What Amazon SNS delivers for an account of SES is checked by a job, which
    also confirms the subscription of the topic.
    """
    tenant_id, account_id = _named(token, "callback")
    if "X-Amz-Sns-Message-Type" in request.headers:
        _hand_on(tenant_id, account_id)
        return {"received": True}
    label, channel, secret = _account(tenant_id, account_id)
    report = _twilio(secret) if channel == "sms" and label.startswith("twilio") else _standard(secret)
    if report is not None:
        if request.args.get("message_id"):
            report = replace(report, message_id=request.args["message_id"])
        set_origin(replace(current_origin(), actor=f"provider:{label}"))
        with tenancy().session(tenant_id) as session:
            news = take(session, tenant_id, report, label, channel)
        log.info("notification.report", tenant_id=str(tenant_id), account=label, report=report.event, news=news)
    return {"received": True}


@blueprint.route("/notifications/unsubscribe/<string:token>", methods=["GET"])
@public
@blueprint.alt_response(
    200, description="A page with one button. Nothing is changed.", content_type="text/html", schema={"type": "string"}
)
def ask_to_unsubscribe(token: str) -> Response:
    """Show a page that asks. Looking changes nothing, since mail scanners open every link."""
    _unsubscribable(token)
    return _page(
        "Unsubscribe",
        '<form method="post"><p>Do you want no more of these messages?</p><button>Unsubscribe</button></form>',
    )


@blueprint.route("/notifications/unsubscribe/<string:token>", methods=["POST"])
@public
@blueprint.alt_response(
    200, description="The address is suppressed.", content_type="text/html", schema={"type": "string"}
)
def unsubscribe(token: str) -> Response:
    """Unsubscribe with one click (RFC 8058): from the message's category, or from all that is not critical."""
    tenant_id, message_id = _unsubscribable(token)
    with tenancy().session(tenant_id) as session:
        message = session.get_one(Message, (tenant_id, message_id))
        suppress(session, message, "unsubscribe", message.category)
    log.info("notification.unsubscribed", tenant_id=str(tenant_id), message_id=str(message_id))
    return _page("Unsubscribed", "<p>You will get no more of these messages.</p>")


def _named(token: str, purpose: Purpose) -> tuple[UUID, UUID]:
    """Whom and what a link names, whichever of the keys that we have has signed it. Raises `NotFound`."""
    for master in tenancy().ring.verifying:
        found = read_token(link_key(master, purpose), token)
        if found is not None:
            return found
    raise NotFound("There is nothing at this address.")


def _unsubscribable(token: str) -> tuple[UUID, UUID]:
    tenant_id, message_id = _named(token, "unsubscribe")
    with tenancy().session(tenant_id) as session:
        if session.get(Message, (tenant_id, message_id)) is None:
            raise NotFound("The message is gone.")
    return tenant_id, message_id


def _account(tenant_id: UUID, account_id: UUID) -> tuple[str, str, str]:
    """Label, channel and signing secret. Raises `NotFound` for an account that is gone or has no secret."""
    if account_id == PLATFORM_ACCOUNT:
        token = tenancy().settings.twilio_auth_token
        if token is None:
            raise NotFound("There is nothing at this address.")
        return "twilio", "sms", token.get_secret_value()
    with tenancy().session(tenant_id) as session:
        row = session.get(NotificationProvider, (tenant_id, account_id))
    if row is None:
        raise NotFound("There is nothing at this address.")
    plain = tenancy().vault(tenant_id).open(row.secret_sealed, "notification_providers", "secret_sealed", row.id)
    secrets = json.loads(plain)
    secret = secrets.get("auth_token" if row.type == "twilio" else "callback_secret")
    if not secret:
        raise NotFound("The account has no secret to sign reports with.")
    return f"{row.type}:{row.name}", TYPES[row.type].channel, secret


def _hand_on(tenant_id: UUID, account_id: UUID) -> None:
    """Leave a delivery of SNS to a job, unless it cannot be one. Raises `NotFound`, `MalformedRequest`, `InvalidSignature`."""
    with tenancy().session(tenant_id) as session:
        row = session.get(NotificationProvider, (tenant_id, account_id))
    if row is None or row.type != "ses":
        raise NotFound("There is nothing at this address.")
    raw = request.get_data(cache=False)
    body = parse_json(raw)
    _verified(lambda: read_sns(body, row.config.get("topic"), datetime.now(UTC)))
    payload = {"account_id": str(account_id), "body": raw.decode()}
    job = NewJob(
        "notification.report", payload, system("sns", tenant_id), request_id=request_id(), traceparent=traceparent(),
    )  # fmt: skip
    submit(tenancy(), job)


def _twilio(secret: str) -> Report | None:
    form = list(request.form.items(multi=True))
    query = f"?{request.query_string.decode()}" if request.query_string else ""
    url = f"{tenancy().settings.base_url}{request.path}{query}"
    _verified(lambda: verify_twilio(secret, url, form, request.headers.get("X-Twilio-Signature", "")))
    return read_twilio(dict(form))


def _standard(secret: str) -> Report | None:
    raw = request.get_data(cache=False)
    headers = {name.lower(): value for name, value in request.headers.items()}
    _verified(lambda: verify_standard(secret, headers, raw, time.time()))
    body = parse_json(raw)
    if not isinstance(body, dict):
        raise MalformedRequest("The body is not a JSON object.")
    return read_standard(headers.get("webhook-id", ""), body)


def _verified(verify: Callable[[], object]) -> None:
    """Say no more than that it does not match; the reason would help a forger."""
    try:
        verify()
    except InvalidSignature:
        log.warning("notification.report_refused")
        raise InvalidSignature from None


def _page(title: str, body: str) -> Response:
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><body><h1>{title}</h1>{body}</body></html>'
    response = Response(page, mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response

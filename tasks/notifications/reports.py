"""What SES reports through SNS: verified here and not in the API, because it takes asking SNS for its certificate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from domain.errors import InvalidSignature, Permanent
from domain.notifications.sns import SnsMessage, read_ses, read_sns
from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import NotificationProvider
from models.tenant.message_reports import take
from providers.email import sns


@handles("notification.report")
def take_report(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Apply a report, or subscribe to the topic that asks for it. Raises `Permanent` (`invalid_signature`) for a forgery."""
    with context.session() as session:
        account = session.get(NotificationProvider, (context.tenant_id, payload["account_id"]))
    if account is None or account.type != "ses":
        raise Permanent("The account is gone.", code="account_gone")
    try:
        message = read_sns(json.loads(payload["body"]), account.config.get("topic"))
        sns.verify(message, context.settings.sns_endpoint)
    except (InvalidSignature, ValueError):
        raise Permanent("The message is not one of SNS.", code="invalid_signature") from None
    if message.kind == "SubscriptionConfirmation":
        sns.confirm(message, context.settings.sns_endpoint)
        context.log.info("notification.topic_subscribed", topic=message.topic)
    news = message.kind == "Notification" and _taken(context, account, message)
    return {"kind": message.kind, "topic": message.topic, "news": news}


def _taken(context: JobContext, account: NotificationProvider, message: SnsMessage) -> bool:
    report = read_ses(message)
    if report is None:
        return False
    with context.session() as session:
        news = take(session, context.tenant_id, report, f"{account.type}:{account.name}", account.channel)
    context.log.info("notification.report", account=account.name, report=report.event, news=news)
    return news

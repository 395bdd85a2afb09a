"""What Amazon SNS delivers: which addresses of its messages are believed, what of them is signed, and what SES says in them.

Sources: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html and
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from domain.errors import InvalidSignature
from domain.notifications.callbacks import Report

LATE_SECONDS = 3600
"""How old a message may be: SNS repeats one for less than that."""

AHEAD_SECONDS = 300

_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_HOST = re.compile(r"sns\.([a-z0-9-]{3,30})\.amazonaws\.com(\.cn)?")
TOPIC = re.compile(r"arn:aws(?:-cn|-us-gov)?:sns:([a-z0-9-]{3,30}):[0-9]{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?")
_LIMIT = 300_000
"""Characters; SNS delivers at most 256 KiB."""


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """A message whose form is right. Whether SNS wrote it, only its `signature` tells, made with the key of `certificate_url`."""

    kind: str
    id: str
    topic: str
    text: str
    sent_at: datetime
    signed: bytes
    signature: str
    version: str
    certificate_url: str
    subscribe_url: str | None


def read_sns(body: Any, topic: str | None = None, now: datetime | None = None) -> SnsMessage:
    """Read a delivery. With `topic`, no other is believed; with `now`, it must be of this hour.

    Raises `InvalidSignature`, which tells a forger nothing.
    """
    if not isinstance(body, Mapping) or body.get("Type") not in _SIGNED:
        raise InvalidSignature
    fields = {
        name: body.get(name) for name in (*_SIGNED[body["Type"]], "Signature", "SignatureVersion", "SigningCertURL")
    }
    if any(value is not None and (not isinstance(value, str) or len(value) > _LIMIT) for value in fields.values()):
        raise InvalidSignature
    texts: dict[str, str] = {name: value for name, value in fields.items() if value is not None}
    named = TOPIC.fullmatch(texts.get("TopicArn", ""))
    if (
        not fields.keys() - texts.keys() <= {"Subject"}
        or named is None
        or (topic is not None and texts["TopicArn"] != topic)
    ):
        raise InvalidSignature
    addresses = [texts.get("SigningCertURL", ""), *([texts["SubscribeURL"]] if "SubscribeURL" in texts else [])]
    if any(region_of(address) != named[1] for address in addresses) or texts.get("SignatureVersion") not in {"1", "2"}:
        raise InvalidSignature
    sent_at = _moment(texts["Timestamp"])
    if now is not None and not -AHEAD_SECONDS <= (now - sent_at).total_seconds() <= LATE_SECONDS:
        raise InvalidSignature
    signed = "".join(f"{name}\n{texts[name]}\n" for name in _SIGNED[texts["Type"]] if name in texts)
    return SnsMessage(
        texts["Type"], texts["MessageId"], texts["TopicArn"], texts["Message"], sent_at, signed.encode(),
        texts["Signature"], texts["SignatureVersion"], texts["SigningCertURL"], texts.get("SubscribeURL"),
    )  # fmt: skip


def region_of(address: str) -> str | None:
    """The region of SNS whose own address this is; None for any other, which is never asked for anything."""
    try:
        parts = urlsplit(address)
        found = _HOST.fullmatch(parts.hostname or "")
        plain = parts.scheme == "https" and parts.port in {None, 443} and parts.username is None and not parts.fragment
    except ValueError:
        return None
    return found[1] if found is not None and plain else None


def read_ses(message: SnsMessage) -> Report | None:
    """What SES reports of a mail, by feedback notifications or event publishing; None for what means nothing to us."""
    try:
        body = json.loads(message.text)
    except ValueError:
        return None
    if not isinstance(body, dict) or not isinstance(body.get("mail"), dict):
        return None
    provider_id, what = body["mail"].get("messageId"), body.get("eventType") or body.get("notificationType")
    event = _EVENTS.get(what) if isinstance(what, str) else None
    if event is None or not isinstance(provider_id, str) or not 0 < len(provider_id) <= 200:
        return None
    about = body.get(str(what).lower())
    told = about if isinstance(about, dict) else {}
    hard = event == "bounced" and told.get("bounceType") == "Permanent"
    return Report(message.id, event, provider_id=provider_id, hard=hard, detail=_detail(event, told))


_EVENTS = {
    "Bounce": "bounced", "Complaint": "complained", "Delivery": "delivered", "Reject": "undelivered", "Open": "read",
    "Click": "clicked",
}  # fmt: skip


def _detail(event: str, told: Mapping[str, Any]) -> str | None:
    if event == "bounced":
        people = told.get("bouncedRecipients")
        first = people[0] if isinstance(people, list) and people and isinstance(people[0], dict) else {}
        parts = (told.get("bounceType"), told.get("bounceSubType"), first.get("diagnosticCode"))
    elif event == "complained":
        parts = (told.get("complaintFeedbackType"), told.get("complaintSubType"), None)
    else:
        parts = (told.get("smtpResponse"), told.get("reason"), None)
    said = " ".join(part for part in parts if isinstance(part, str))
    return said[:300] or None


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidSignature from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

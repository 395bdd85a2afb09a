"""What providers report after a message left: verified by their signatures, translated to our words."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import InvalidSignature

TOLERANCE_SECONDS = 300
"""How far a signed moment may lie from now."""

EVENTS = ("sent", "delivered", "undelivered", "bounced", "complained", "seen", "read", "clicked", "stop", "start")

ENGAGEMENT: dict[str, tuple[str, ...]] = {
    "seen": ("seen_at",),
    "read": ("seen_at", "read_at"),
    "clicked": ("seen_at", "read_at", "clicked_at"),
}
"""Columns that an event of engagement fills, if they are empty: who has clicked has read, and who has read has seen."""

_TWILIO = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "undelivered": "undelivered",
    "failed": "undelivered",
}
_STOP = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "stop all", "optout", "revoke"})
_START = frozenset({"start", "yes", "unstop"})


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that a provider says. `key` is the same however often it says it. STOP and START name the `address`."""

    key: str
    event: str
    provider_id: str | None = None
    message_id: str | None = None
    address: str | None = None
    hard: bool = False
    detail: str | None = None


def twilio_signature(auth_token: str, url: str, form: Iterable[tuple[str, str]]) -> str:
    """`X-Twilio-Signature`: HMAC-SHA1 of the URL followed by every parameter, sorted by name.

    Source: https://www.twilio.com/docs/usage/security#validating-requests.
    """
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.digest(auth_token.encode(), signed.encode(), hashlib.sha1)).decode()


def verify_twilio(auth_token: str, url: str, form: Iterable[tuple[str, str]], signature: str) -> None:
    """Raises `InvalidSignature`."""
    expected = twilio_signature(auth_token, url, form)
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise InvalidSignature


def read_twilio(form: Mapping[str, str]) -> Report | None:
    """A status of a message that we sent, or an incoming STOP or START; None for what means nothing to us."""
    number = form.get("MessageSid") or form.get("SmsSid") or ""
    status = form.get("MessageStatus") or form.get("SmsStatus") or ""
    if status != "received" and status:
        event = _TWILIO.get(status)
        code = form.get("ErrorCode")
        if event is None or not number:
            return None
        return Report(f"{number}:{status}", event, provider_id=number, detail=code and f"error {code}")
    word = " ".join(form.get("Body", "").lower().split())
    event = "stop" if word in _STOP else "start" if word in _START else None
    if event is None or not form.get("From"):
        return None
    return Report(f"{number}:{event}", event, address=form["From"])


def verify_standard(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """The Standard Webhooks signature of a relay that reports in our own form. Raises `InvalidSignature`."""
    message_id, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not moment.isascii() or not moment.isdigit() or len(moment) > 12 or abs(now - int(moment)) > TOLERANCE_SECONDS:
        raise InvalidSignature
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"))
    except (binascii.Error, ValueError):
        raise InvalidSignature from None
    signed = f"{message_id}.{moment}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    sent = [part.partition(",")[2] for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")]
    if not any(hmac.compare_digest(expected, each.encode()) for each in sent):
        raise InvalidSignature


def read_standard(webhook_id: str, body: Mapping[str, Any]) -> Report | None:
    """`{"event": …, "message_id" or "provider_id" or "address": …, "hard": bool, "detail": …}`; None if it is not that."""
    texts = {name: body.get(name) for name in ("event", "message_id", "provider_id", "address", "detail")}
    if any(value is not None and (not isinstance(value, str) or len(value) > 500) for value in texts.values()):
        return None
    if texts["event"] not in EVENTS or not (texts["message_id"] or texts["provider_id"] or texts["address"]):
        return None
    return Report(
        webhook_id, str(texts["event"]), texts["provider_id"], texts["message_id"], texts["address"], body.get("hard") is True,
        texts["detail"],
    )  # fmt: skip

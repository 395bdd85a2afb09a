"""Web Push (RFC 8030): an encrypted message to the push service that the browser chose.

The address comes from a browser, so it is resolved, judged and pinned like any other that a tenant gives us.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.destinations import Network, parse_destination
from domain.errors import InvalidPayload, Permanent, RateLimited, Transient, UnknownOutcome
from providers.messages import SentMessage
from providers.outbound.post import NotConnected, post
from providers.push.base import PushMessage
from providers.push.encryption import LARGEST_PLAINTEXT, authorization, bytes_of, encrypt, private_key
from providers.retry_after import retry_after

TTL_SECONDS = 86_400
"""How long a push service keeps a message for a device that is off."""
_TIMEOUT = 15.0
_BEFORE_SENDING = frozenset({"address_refused", "name_not_resolved", "tls_failed"})


@dataclass(frozen=True, slots=True)
class VapidIdentity:
    """Who sends: a private key (32 bytes in base64url) and an address to complain to."""

    subject: str
    key: str = field(repr=False)


class WebPushProvider:
    """Not idempotent: a push service shows what it is given as often as it is given it."""

    idempotent = False

    def __init__(self, identity: VapidIdentity, allowed: Sequence[Network] = (), name: str = "web_push"):
        self.name, self._identity, self._allowed = name, identity, allowed
        try:
            self._key = private_key(identity.key)
        except ValueError:
            raise Permanent("The VAPID key cannot be used.", code="provider_misconfigured") from None

    def send(self, message: PushMessage) -> SentMessage:
        """Encrypt for the device and hand it to its push service."""
        try:
            subscription = json.loads(message.target)
            destination = parse_destination(subscription["endpoint"], self._allowed)
            body = self._sealed(message, subscription["keys"])
        except (ValueError, KeyError, TypeError):
            raise Permanent("The subscription cannot be used.", code="invalid_address") from None
        except InvalidPayload:
            raise Permanent("The push service's address is refused.", code="invalid_address") from None
        headers = {
            "authorization": authorization(self._key, destination.url, self._identity.subject),
            "content-encoding": "aes128gcm", "content-type": "application/octet-stream",
            "ttl": str(TTL_SECONDS), "urgency": "normal",
        }  # fmt: skip
        try:
            answer = post(destination, headers, body, allowed=self._allowed, timeout=_TIMEOUT, limit=500)
        except NotConnected:
            raise Transient("The push service cannot be reached.", code="provider_unreachable") from None
        except Transient as error:
            if error.job_code in _BEFORE_SENDING:
                raise Transient(error.detail, code="provider_unreachable") from None
            raise UnknownOutcome("The push service fell silent after it had the message.") from None
        return self._judged(answer.status, answer.headers)

    def _sealed(self, message: PushMessage, keys: dict[str, str]) -> bytes:
        shown = {"id": str(message.id), "title": message.title, "body": message.text, "data": dict(message.data)}
        plaintext = json.dumps(shown, separators=(",", ":"), ensure_ascii=False).encode()
        if len(plaintext) > LARGEST_PLAINTEXT:
            raise Permanent("The message is too long for a push message.", code="invalid_content")
        return encrypt(plaintext, bytes_of(keys["p256dh"]), bytes_of(keys["auth"]))

    def _judged(self, status: int, headers: object) -> SentMessage:
        names = headers if isinstance(headers, dict) else {}
        if 200 <= status < 300:
            return SentMessage(self.name, str(names.get("location", "")), f"accepted ({status})")
        if status in (404, 410):
            raise Permanent("The device has unsubscribed.", code="device_gone")
        if status in (401, 403):
            raise Permanent("The push service does not accept the VAPID key.", code="provider_unauthorized")
        if status == 429:
            raise RateLimited("The push service asks to wait.", retry_after=retry_after(names))
        if status >= 500:
            raise Transient(f"The push service failed ({status}).", code="provider_unavailable")
        raise Permanent(f"The push service refused the message ({status}).", code="message_refused")

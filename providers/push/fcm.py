"""Firebase Cloud Messaging, HTTP v1: a service account's signed JWT buys a token, the token sends.

Source: https://firebase.google.com/docs/cloud-messaging/send/v1-api. The addresses are the vendor's, never those that a service
account's file names, because a tenant writes that file.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field

import jwt

from domain.errors import JobError, Permanent, Transient, UnknownOutcome
from providers.messages import SentMessage
from providers.push.base import PushMessage
from providers.vendor_http import TIMEOUT_SECONDS, VendorAnswer, post, refusal

API = "https://fcm.googleapis.com"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_CODES = {
    "UNREGISTERED": "device_gone", "SENDER_ID_MISMATCH": "invalid_address", "INVALID_ARGUMENT": "message_refused",
    "THIRD_PARTY_AUTH_ERROR": "provider_unauthorized",
}  # fmt: skip

_tokens: dict[str, tuple[str, float]] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What of a service account's JSON file is used."""

    project_id: str
    client_email: str
    private_key: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> ServiceAccount:
        """Raises `Permanent` (`provider_misconfigured`), which repeats nothing of the file."""
        try:
            found = json.loads(text)
            account = cls(*(str(found[name]) for name in ("project_id", "client_email", "private_key")))
        except (ValueError, KeyError, TypeError):
            raise Permanent("The service account's JSON is incomplete.", code="provider_misconfigured") from None
        if not (account.project_id and account.client_email):
            raise Permanent("The service account's JSON is incomplete.", code="provider_misconfigured")
        return account


class FcmPushProvider:
    """Not idempotent: FCM knows no key, so a call that fell silent is not made again."""

    idempotent = False

    def __init__(
        self, account: ServiceAccount, *, name: str = "fcm", api: str = API, token_url: str = TOKEN_URL,
        timeout: float = TIMEOUT_SECONDS,
    ):  # fmt: skip
        self.name, self._account, self._api, self._token_url, self._timeout = name, account, api, token_url, timeout

    def send(self, message: PushMessage) -> SentMessage:
        """Send to one device's token."""
        shown = {
            "token": message.target,
            "notification": {"title": message.title, "body": message.text},
            "data": {**message.data, "message_id": str(message.id)},
        }
        answer = self._post(shown, self._token())
        if answer.status == 401:  # the token was revoked before its time
            answer = self._post(shown, self._token(fresh=True))
        if not 200 <= answer.status < 300:
            raise _refused(answer)
        name = answer.body.get("name")
        if not isinstance(name, str):
            raise UnknownOutcome("FCM's answer names no message.")
        return SentMessage(self.name, name, "accepted")

    def _post(self, message: object, token: str) -> VendorAnswer:
        url = f"{self._api}/v1/projects/{self._account.project_id}/messages:send"
        headers = {"authorization": f"Bearer {token}"}
        return post("FCM", url, headers=headers, body={"message": message}, timeout=self._timeout)

    def _token(self, *, fresh: bool = False) -> str:
        """An access token, bought at most once an hour. Nothing has been sent yet, so any failure may be repeated."""
        secret = f"{self._token_url}\0{self._account.client_email}\0{self._account.private_key}"
        place = hashlib.sha256(secret.encode()).hexdigest()
        with _lock:
            token, until = _tokens.get(place, ("", 0.0))
        if token and not fresh and until > time.monotonic():
            return token
        try:
            answer = post(
                "Google", self._token_url, headers={}, timeout=self._timeout,
                form={"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self._assertion()},
            )  # fmt: skip
        except UnknownOutcome as error:
            raise Transient(error.detail, code="provider_unreachable") from None
        token = str(answer.body.get("access_token") or "")
        if answer.status != 200 or not token:
            if answer.status in (400, 401, 403):
                raise Permanent("Google does not accept the service account.", code="provider_unauthorized")
            raise Transient(f"Google failed to issue a token ({answer.status}).", code="provider_unavailable")
        lifetime = answer.body.get("expires_in")
        seconds = float(lifetime) if isinstance(lifetime, int) else 300.0
        with _lock:
            _tokens[place] = token, time.monotonic() + max(0.0, seconds - 60)
        return token

    def _assertion(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self._account.client_email, "scope": _SCOPE, "aud": self._token_url, "iat": now, "exp": now + 3600,
        }  # fmt: skip
        try:
            return jwt.encode(claims, self._account.private_key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):
            raise Permanent("The service account's key cannot be used.", code="provider_misconfigured") from None


def _refused(answer: VendorAnswer) -> JobError:
    """FCM's own code stands in the error's details; `NOT_FOUND` alone also means an unregistered token."""
    error = answer.body.get("error")
    found = error if isinstance(error, dict) else {}
    details = found.get("details")
    codes = [each.get("errorCode") for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    code = next((each for each in codes if isinstance(each, str)), str(found.get("status", "")))
    if answer.status == 404:
        code = "UNREGISTERED"
    return refusal("FCM", answer, f"{code} {found.get('message', '')}", _CODES)

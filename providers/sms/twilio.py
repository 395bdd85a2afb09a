"""Twilio's Messages resource over its HTTP API.

The SDK is a large tree of generated classes around this one form; its default client would also hide whether a failed call
had begun. Source: https://www.twilio.com/docs/messaging/api/message-resource.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.errors import UnknownOutcome
from providers.messages import SentMessage
from providers.sms.base import SmsMessage
from providers.vendor_http import TIMEOUT_SECONDS, post, refusal

API = "https://api.twilio.com"

_CODES = {
    "21211": "invalid_address", "21214": "invalid_address", "21217": "invalid_address", "21614": "invalid_address",
    "21610": "recipient_refused", "21612": "recipient_refused", "21408": "sender_refused", "21606": "sender_refused",
    "21659": "sender_refused", "21617": "invalid_content", "21602": "invalid_content",
}  # fmt: skip
"""Twilio's codes that say more than their status. 21610: the recipient answered STOP."""


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """`sender` is a number of the account, or a messaging service (`MG…`)."""

    sid: str
    sender: str
    auth_token: str = field(repr=False)
    api: str = API


class TwilioSmsProvider:
    """Not idempotent: the Messages resource knows no key, so a call that fell silent is not made again."""

    idempotent = False

    def __init__(self, account: TwilioAccount, name: str = "twilio", timeout: float = TIMEOUT_SECONDS):
        self.name, self._account, self._timeout = name, account, timeout

    def send(self, message: SmsMessage) -> SentMessage:
        """Create the message there; it is queued when this returns."""
        account = self._account
        sender = "MessagingServiceSid" if account.sender.startswith("MG") else "From"
        form = {"To": message.to, sender: account.sender, "Body": message.text}
        if message.callback_url is not None:
            form["StatusCallback"] = message.callback_url
        url = f"{account.api}/2010-04-01/Accounts/{account.sid}/Messages.json"
        answer = post(
            "Twilio", url, headers={"accept": "application/json"}, form=form, basic=(account.sid, account.auth_token),
            timeout=self._timeout,
        )  # fmt: skip
        if not 200 <= answer.status < 300:
            said = f"{answer.body.get('code', '')} {answer.body.get('message', '')}".replace(
                account.auth_token, "[token]"
            )
            raise refusal("Twilio", answer, said, _CODES)
        sid = answer.body.get("sid")
        if not isinstance(sid, str):
            raise UnknownOutcome("Twilio's answer names no message.")
        return SentMessage(self.name, sid, str(answer.body.get("status", "accepted")))

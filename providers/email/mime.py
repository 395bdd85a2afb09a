"""An `EmailMessage` as MIME bytes and an envelope (RFC 5322, RFC 2045), with nothing smuggled into the headers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.headerregistry import Address, AddressHeader
from email.message import EmailMessage as MimeMessage
from email.policy import SMTP
from email.utils import localtime
from typing import Any
from uuid import UUID

from domain.errors import Permanent
from providers.email.base import EmailMessage

# 7bit: a body passes every relay unchanged, whether or not it announces 8BITMIME.
_POLICY = SMTP.clone(cte_type="7bit", raise_on_defect=False)
# A word that is longer than a line would be hidden in encoded words (RFC 2047), in which nobody finds an address again. So such
# a message is written in lines as long as RFC 5322 allows.
_LONG_LINES = _POLICY.clone(max_line_length=998)
_LONGEST_WORD = 60
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,76}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DECIDED_HERE = frozenset(
    [
        "from",
        "sender",
        "to",
        "cc",
        "bcc",
        "subject",
        "reply-to",
        "date",
        "message-id",
        "mime-version",
        "content-type",
        "content-transfer-encoding",
    ]
)


@dataclass(frozen=True, slots=True)
class Composed:
    """Ready to hand over: envelope sender and recipient (bare addresses), Message-ID, and the message with CRLF."""

    sender: str
    recipient: str
    message_id: str
    content: bytes


def compose(message: EmailMessage) -> Composed:
    """Build the message. Raises `Permanent` with `invalid_header`, `invalid_address` or `invalid_content`."""
    sender, recipient = _address("from", message.sender), _address("to", message.to)
    message_id = _message_id(message.id, sender.domain)
    headers: dict[str, Any] = {"From": sender, "To": recipient, "Subject": message.subject, "Message-ID": message_id}
    if message.reply_to is not None:
        headers["Reply-To"] = _address("reply-to", message.reply_to)
    for name, value in message.headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _DECIDED_HERE:
            raise Permanent(f"The header {name[:80]!r} cannot be set.", code="invalid_header")
        headers[name] = value
    long_words = any(len(word) > _LONGEST_WORD for value in message.headers.values() for word in value.split())
    mime = MimeMessage(policy=_LONG_LINES if long_words else _POLICY)
    mime["Date"] = localtime()
    try:
        for name, value in headers.items():
            _refuse_control(name, str(value))
            mime[name] = value
            _refuse_control(name, str(mime[name]))  # what encoded words (RFC 2047) hide
        mime.set_content(message.text)
        if message.html is not None:
            mime.add_alternative(message.html, subtype="html")
        content = mime.as_bytes()
    except UnicodeEncodeError:
        raise Permanent("The message holds characters that cannot be written.", code="invalid_content") from None
    except (ValueError, MessageError):
        raise Permanent("A header cannot be written.", code="invalid_header") from None
    _refuse_smuggled(content, {"Date", *headers})
    return Composed(sender.addr_spec, recipient.addr_spec, message_id, content)


def _address(name: str, text: str) -> Address:
    """The one address in `text`. Internationalised ones must be written in ASCII, which every server takes."""
    _refuse_control(name, text)
    parsed: dict[str, Any] = {"defects": []}
    try:
        AddressHeader.parse(text, parsed)
        addresses = [address for group in parsed["groups"] for address in group.addresses]
    except (ValueError, IndexError, MessageError):
        addresses = []
    if len(addresses) != 1 or parsed["defects"]:
        raise Permanent(f"The {name} address is not one valid address.", code="invalid_address")
    address: Address = addresses[0]
    if not address.username or not address.domain or not address.addr_spec.isascii():
        raise Permanent(f"The {name} address is incomplete or not written in ASCII.", code="invalid_address")
    _refuse_control(name, str(address))
    return address


def _refuse_control(name: str, value: str) -> None:
    if _CONTROL.search(value):
        raise Permanent(f"The header {name} holds a line break or control character.", code="invalid_header")


def _refuse_smuggled(content: bytes, expected: set[str]) -> None:
    """Read back what was written: a header that nobody set means that a value broke out of its line."""
    allowed = {name.lower() for name in expected} | {"mime-version", "content-type", "content-transfer-encoding"}
    written = {name.lower() for name in message_from_bytes(content).keys()}  # noqa: SIM118  # a Message is no dict
    if written - allowed:
        raise Permanent("A header value would have added another header.", code="invalid_header")


def _message_id(id: UUID, domain: str) -> str:
    return f"<{id}@{domain}>"

"""Composing one mail for many: it is composed in full once, and for everyone else only the lines that differ are written anew."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from email.utils import formatdate

from providers.email.base import EmailMessage
from providers.email.mime import Composed, compose

_KEPT = 16
"""Mails that are remembered: a broadcast has one for each variant of its template."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PLAIN_ADDRESS = re.compile(rf"(?=.{{3,64}}\Z){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+")
"""One that is written as it is, on one line."""

_PLAIN_VALUE = re.compile(r"[!-~]{1,900}")
_KEY = tuple[str, str, str, str | None, str | None, tuple[str, ...]]


class Letters:
    """Composes as `compose` does. Not to be shared by threads."""

    def __init__(self) -> None:
        self._forms: OrderedDict[_KEY, _Form | None] = OrderedDict()

    def compose(self, message: EmailMessage) -> Composed:
        """Raises as `providers.email.mime.compose`."""
        if not _is_plain(message):
            return compose(message)
        key = (message.sender, message.subject, message.text, message.html, message.reply_to, tuple(message.headers))
        form = self._forms.get(key)
        if form is not None:
            return form.fill(message)
        composed = compose(message)
        if key not in self._forms:
            self._forms[key] = _Form.of(message, composed)
            if len(self._forms) > _KEPT:
                self._forms.popitem(last=False)
        return composed


@dataclass(frozen=True, slots=True)
class _Form:
    """The lines of a mail's head that everybody has, those that are each one's own left out, and its body."""

    sender: str
    domain: str
    shared: bytes

    @classmethod
    def of(cls, message: EmailMessage, composed: Composed) -> _Form | None:
        """None for a mail whose own lines are not found as they would be written."""
        head, blank, body = composed.content.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        domain = composed.message_id.rpartition("@")[2].rstrip(">")
        dated = [line for line in lines if line.startswith(b"Date: ")]
        own = _own_lines(message, domain)
        if len(dated) != 1 or any(lines.count(line) != 1 for line in own):
            return None
        shared = b"\r\n".join(line for line in lines if line not in own and line not in dated)
        return cls(composed.sender, domain, shared + blank + body)

    def fill(self, message: EmailMessage) -> Composed:
        own = _own_lines(message, self.domain)
        dated = f"Date: {formatdate(localtime=True)}".encode()
        message_id = f"<{message.id}@{self.domain}>"
        return Composed(self.sender, message.to, message_id, b"\r\n".join((dated, *own, self.shared)))


def _own_lines(message: EmailMessage, domain: str) -> list[bytes]:
    own = {"To": message.to, "Message-ID": f"<{message.id}@{domain}>", **message.headers}
    return [f"{name}: {value}".encode() for name, value in own.items()]


def _is_plain(message: EmailMessage) -> bool:
    return _PLAIN_ADDRESS.fullmatch(message.to) is not None and all(
        _PLAIN_VALUE.fullmatch(value) for value in message.headers.values()
    )

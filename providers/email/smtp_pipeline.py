"""SMTP with fewer waits: a mail's envelope goes out with the text of the one before (RFC 2920, section 3.1).

So a mail costs one round trip. Nothing else changes: each is a transaction of its own, and when the connection breaks only the mail
whose text was written is in doubt.
"""

from __future__ import annotations

import re
import smtplib

from providers.email.mime import Composed

_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)
_DATA_BEGINS, _CLOSING = 354, 421
_ACCEPTED = {"sender": frozenset({250}), "recipient": frozenset({250, 251}), "message": frozenset({_DATA_BEGINS})}

Reply = tuple[int, bytes]


class Refusal(Exception):
    """The server refused a step before the text. `step` is `sender`, `recipient` or `message`."""

    def __init__(self, step: str, reply: Reply):
        super().__init__(step)
        self.step, self.reply = step, reply


class Pipeline:
    """The conversation over a client that has said EHLO: step by step where the server does not offer PIPELINING.

    Raises what smtplib does, and `OSError`, after which the connection is of no more use.
    """

    def __init__(self, client: smtplib.SMTP):
        self._client = client
        self._together = client.has_extn("pipelining")
        self._announced: Composed | None = None

    def announce(self, mail: Composed) -> None:
        """Name the mail's sender and recipient, unless that was done with the one before, and hear whether it may come.

        Raises `Refusal`, after which the conversation can go on with another mail.
        """
        if self._together:
            if self._announced is not mail:
                self._write(b"".join(_envelope(mail)))
            replies = [self._client.getreply() for _ in _ACCEPTED]
        else:
            replies = []
            for command, accepted in zip(_envelope(mail), _ACCEPTED.values(), strict=True):
                self._write(command)
                replies.append(self._client.getreply())
                if replies[-1][0] not in accepted:
                    break
        self._announced = None
        for (step, accepted), reply in zip(_ACCEPTED.items(), replies, strict=False):
            if reply[0] not in accepted:
                self._reset(replies)
                raise Refusal(step, reply)

    def text(self, mail: Composed, following: Composed | None) -> Reply:
        """Send the text of the mail that was announced, and announce the one that follows."""
        end = b".\r\n" if mail.content.endswith(b"\r\n") else b"\r\n.\r\n"
        data = [_LEADING_DOT.sub(b"..", mail.content), end]
        if self._together and following is not None:
            self._announced = following
            data += _envelope(following)
        self._write(b"".join(data))
        return self._client.getreply()

    def _reset(self, replies: list[Reply]) -> None:
        if any(code == _CLOSING for code, _ in replies):
            return
        if replies[-1][0] == _DATA_BEGINS:  # with nobody to send to: an empty text ends it (RFC 2920, section 3.1)
            self._write(b".\r\n")
            self._client.getreply()
        self._client.rset()

    def _write(self, data: bytes) -> None:
        if self._client.sock is None:
            raise smtplib.SMTPServerDisconnected("The connection is closed.")
        self._client.sock.sendall(data)


def _envelope(mail: Composed) -> tuple[bytes, bytes, bytes]:
    """A command for each step of `_ACCEPTED`."""
    return (
        f"MAIL FROM:<{mail.sender}>\r\n".encode("ascii"),
        f"RCPT TO:<{mail.recipient}>\r\n".encode("ascii"),
        b"DATA\r\n",
    )

"""Mail over SMTP (RFC 5321). One connection per message, none kept.

Whether a failure may be repeated depends on how far the conversation came: before DATA nothing was sent; from DATA on
only the server's answer tells, so a connection lost there leaves the outcome unknown.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from domain.errors import JobError, Permanent, Transient, UnknownOutcome
from providers.email.base import EmailMessage, SentMessage
from providers.email.mime import Composed, compose

_DEFAULT_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
_DEFAULT_TIMEOUT = 20.0
_OK, _WILL_FORWARD = 250, 251


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where and how to connect. `timeout` is in seconds, for each answer of the server."""

    scheme: str
    host: str
    port: int
    timeout: float
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_smtp_url(url: str) -> SmtpServer:
    """Read `smtp[s|+starttls]://[user:password@]host[:port][?timeout=seconds]`.

    Raises `Permanent` with `provider_misconfigured`, which does not repeat the address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        timeout = float(parse_qs(parts.query).get("timeout", [str(_DEFAULT_TIMEOUT)])[0])
    except (ValueError, KeyError):
        raise _misconfigured() from None
    if not parts.hostname or not 0 < timeout <= 600:  # ten minutes: RFC 5321's longest wait
        raise _misconfigured()
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return SmtpServer(parts.scheme, parts.hostname, port, timeout, user, password)


def _misconfigured() -> Permanent:
    return Permanent("The SMTP address is not valid: check SMTP_URL.", code="provider_misconfigured")


class SmtpEmailProvider:
    """Not idempotent: a server delivers what it is given as often as it is given it."""

    name = "smtp"
    idempotent = False

    def __init__(self, url: str):
        self._server = parse_smtp_url(url)

    def send(self, message: EmailMessage) -> SentMessage:
        """Hand the message to the server. Raises as `EmailProvider.send` says."""
        composed = compose(message)
        with _before_data():
            client = self._connect(composed.sender.rpartition("@")[2])
        with contextlib.closing(client):
            with _before_data():
                self._authenticate(client)
                _expect(client.mail(composed.sender), "sender_refused", _OK)
                _expect(client.rcpt(composed.recipient), "recipient_refused", _OK, _WILL_FORWARD)
            answer = _data(client, composed)
            with contextlib.suppress(smtplib.SMTPException, OSError):
                client.quit()  # the message is taken; how the goodbye goes does not matter
        return SentMessage(self.name, composed.message_id, answer)

    def _connect(self, greeting: str) -> smtplib.SMTP:
        """`greeting` is the name we give in EHLO: the sender's domain, since our own would need a lookup."""
        server = self._server
        if server.scheme == "smtps":
            return smtplib.SMTP_SSL(
                server.host, server.port, greeting, timeout=server.timeout, context=ssl.create_default_context()
            )
        return smtplib.SMTP(server.host, server.port, greeting, timeout=server.timeout)

    def _authenticate(self, client: smtplib.SMTP) -> None:
        client.ehlo_or_helo_if_needed()
        if self._server.scheme == "smtp+starttls":
            client.starttls(context=ssl.create_default_context())
            client.ehlo_or_helo_if_needed()
        if self._server.user is not None:
            client.login(self._server.user, self._server.password or "")


@contextlib.contextmanager
def _before_data() -> Iterator[None]:
    """Nothing was sent yet: what the network breaks here may be repeated."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        raise _refused(error.smtp_code, b"", "provider_unauthorized") from error
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error, "provider_rejected") from error
    except smtplib.SMTPNotSupportedError as error:
        raise Permanent("The mail server offers no STARTTLS or login.", code="provider_misconfigured") from error
    except ssl.SSLCertVerificationError as error:
        raise Permanent("The mail server's certificate is not valid.", code="provider_misconfigured") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Transient("The mail server cannot be reached or hung up.", code="provider_unreachable") from error


def _data(client: smtplib.SMTP, composed: Composed) -> str:
    try:
        code, answer = client.data(composed.content)
    except smtplib.SMTPDataError as error:  # the server did not even begin to take it
        raise _refused(error.smtp_code, error.smtp_error, "message_refused") from error
    except (smtplib.SMTPException, OSError) as error:
        raise UnknownOutcome("The mail server fell silent after the message was begun.") from error
    if code != _OK:
        raise _refused(code, answer, "message_refused")
    return _readable(code, answer)


def _expect(reply: tuple[int, bytes], code: str, *accepted: int) -> None:
    if reply[0] not in accepted:
        raise _refused(reply[0], reply[1], code)


def _refused(status: int, answer: bytes | str, code: str) -> JobError:
    """4yz: try again later; 5yz: never (RFC 5321, section 4.2.1). Anything else is no SMTP we know: later."""
    said = f"The mail server answered {_readable(status, answer)}"
    if 500 <= status < 600:
        return Permanent(said, code=code)
    return Transient(said, code="provider_unavailable")


def _readable(status: int, answer: bytes | str) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return " ".join(f"{status} {text}".split())[:300]

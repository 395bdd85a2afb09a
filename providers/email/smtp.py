"""Mail over SMTP (RFC 5321): one connection per message, or one for a batch of them.

Whether a failure may be repeated depends on how far the conversation came: before DATA nothing was sent; from DATA on
only the server's answer tells, so a connection lost there leaves the outcome unknown.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from domain.destinations import Network
from domain.errors import JobError, Permanent, Transient, UnknownOutcome
from providers.email.base import EmailMessage, SentMessage
from providers.email.mime import Composed, compose
from providers.email.smtp_connect import connect

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
    """Not idempotent: a server delivers what it is given as often as it is given it.

    With `allowed`, the server is one that a tenant chose: its name is resolved once, and every address must be public or in
    one of these networks.
    """

    idempotent = False

    def __init__(self, server: SmtpServer | str, *, name: str = "smtp", allowed: Sequence[Network] | None = None):
        self.name = name
        self._server = parse_smtp_url(server) if isinstance(server, str) else server
        self._allowed = allowed

    def send(self, message: EmailMessage) -> SentMessage:
        """Hand the message to the server over a connection of its own. Raises as `EmailProvider.send` says."""
        with self.connection() as connection:
            return connection.send(message)

    @contextlib.contextmanager
    def connection(self) -> Iterator[SmtpConnection]:
        """One connection for many messages, opened with the first and again after one that broke."""
        connection = SmtpConnection(self.name, self._server, self._allowed)
        try:
            yield connection
        finally:
            connection.close()


class SmtpConnection:
    """Sends messages one after the other, each in a transaction of its own (RFC 5321, section 3.3)."""

    def __init__(self, name: str, server: SmtpServer, allowed: Sequence[Network] | None):
        self._name, self._server, self._allowed = name, server, allowed
        self._client: smtplib.SMTP | None = None

    def send(self, message: EmailMessage) -> SentMessage:
        """Hand a message to the server. Whatever goes wrong ends the connection, so that the next message has a new one."""
        composed = compose(message)
        try:
            with _before_data():
                client = self._client or self._open(composed.sender.rpartition("@")[2])
                _expect(client.mail(composed.sender), "sender_refused", _OK)
                _expect(client.rcpt(composed.recipient), "recipient_refused", _OK, _WILL_FORWARD)
            answer = _data(client, composed)
        except JobError:
            self._abandon()
            raise
        return SentMessage(self._name, composed.message_id, answer)

    def close(self) -> None:
        """Say goodbye; how that goes does not matter, for every message has its answer."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.closing(client), contextlib.suppress(smtplib.SMTPException, OSError):
                client.quit()

    def _open(self, greeting: str) -> smtplib.SMTP:
        """`greeting` is the name we give in EHLO: the sender's domain, since our own would need a lookup."""
        server = self._server
        self._client = client = connect(
            server.scheme == "smtps", server.host, server.port, greeting, server.timeout, self._allowed
        )
        client.ehlo_or_helo_if_needed()
        if server.scheme == "smtp+starttls":
            client.starttls(context=ssl.create_default_context())
            client.ehlo_or_helo_if_needed()
        if server.user is not None:
            client.login(server.user, server.password or "")
        return client

    def _abandon(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


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

"""Mail over SMTP (RFC 5321): one connection per message, or one for a batch of them.

Whether a failure may be repeated depends on how far the conversation came: before DATA nothing was sent; from DATA on
only the server's answer tells, so a connection lost there leaves the outcome unknown.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from domain.destinations import Network
from domain.errors import JobError, Permanent, Transient, UnknownOutcome
from providers.email.base import EmailMessage, SentMessage
from providers.email.letters import Letters
from providers.email.mime import Composed
from providers.email.smtp_connect import connect
from providers.email.smtp_pipeline import Pipeline, Refusal

_DEFAULT_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
_DEFAULT_TIMEOUT = 20.0
_OK, _CLOSING = 250, 421


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
        self._pipeline: Pipeline | None = None
        self._letters = Letters()

    def send(self, message: EmailMessage) -> SentMessage:
        """Hand a message to the server. Raises as `EmailProvider.send` says."""
        (answer,) = self.send_many([message])
        if isinstance(answer, JobError):
            raise answer
        return answer

    def send_many(self, messages: Iterable[EmailMessage]) -> Iterator[SentMessage | JobError]:
        """Hand many over; an answer for each in order. The next message is taken up before the answer for the one before it.

        What the server refuses leaves the connection open; one that breaks is opened again for the next message.
        """
        mails = (self._composed(message) for message in messages)
        mail = next(mails, None)
        while mail is not None:
            error = mail if isinstance(mail, JobError) else self._announce(mail)
            following = next(mails, None)
            if error is None and isinstance(mail, Composed):
                yield self._hand_over(mail, following if isinstance(following, Composed) else None)
            elif error is not None:
                yield error
            mail = following

    def _composed(self, message: EmailMessage) -> Composed | JobError:
        try:
            return self._letters.compose(message)
        except JobError as error:
            return error

    def _announce(self, mail: Composed) -> JobError | None:
        """Why the server does not take the mail's envelope, if it does not. Nothing was sent then."""
        try:
            with _before_data():
                if self._pipeline is None:
                    self._pipeline = Pipeline(self._open(mail.sender.rpartition("@")[2]))
                self._pipeline.announce(mail)
        except Refusal as refusal:
            if refusal.reply[0] == _CLOSING:
                self._abandon()
            return _refused(*refusal.reply, f"{refusal.step}_refused")
        except JobError as error:
            self._abandon()
            return error
        return None

    def _hand_over(self, mail: Composed, following: Composed | None) -> SentMessage | JobError:
        """The server's answer to the mail's text."""
        if self._pipeline is None:
            raise RuntimeError("a mail is announced before it is handed over")
        try:
            code, answer = self._pipeline.text(mail, following)
        except (smtplib.SMTPException, OSError):
            self._abandon()
            return UnknownOutcome("The mail server fell silent after the message was begun.")
        if code == _OK:
            return SentMessage(self._name, mail.message_id, _readable(code, answer))
        if code == _CLOSING:
            self._abandon()
        return _refused(code, answer, "message_refused")

    def close(self) -> None:
        """Say goodbye; how that goes does not matter, for every message has its answer."""
        client, self._client, self._pipeline = self._client, None, None
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
        client, self._client, self._pipeline = self._client, None, None
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


def _refused(status: int, answer: bytes | str, code: str) -> JobError:
    """4yz: try again later; 5yz: never (RFC 5321, section 4.2.1). Anything else is no SMTP we know: later."""
    said = f"The mail server answered {_readable(status, answer)}"
    if 500 <= status < 600:
        return Permanent(said, code=code)
    return Transient(said, code="provider_unavailable")


def _readable(status: int, answer: bytes | str) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return " ".join(f"{status} {text}".split())[:300]

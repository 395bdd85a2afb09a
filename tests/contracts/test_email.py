"""Email providers: what each promises, and what SMTP's failures mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from email import message_from_bytes
from email.message import EmailMessage as MimeMessage
from email.policy import default
from pathlib import Path

import pytest

from config.settings import Settings
from domain.errors import JobError, Permanent, Transient, UnknownOutcome
from domain.ids import new_id
from providers.email import EmailMessage, EmailProvider, email_provider
from providers.email.smtp import parse_smtp_url
from tests.contracts.smtp_double import SmtpDouble, Step

MESSAGE = EmailMessage(
    id=new_id(),
    sender="Nexus <no-reply@nexus.example>",
    to="Ada Lovelace <ada@example.org>",
    subject="Grüße, Ada",
    text="Hello,\n.a line that begins with a dot\nÄnd ümlauts\n",
    html="<p>Hello</p>",
    headers={"List-Unsubscribe": "<https://nexus.example/u/1>"},
    reply_to="help@nexus.example",
)


@dataclass
class Mailbox:
    """A provider and a way to read what arrived."""

    provider: EmailProvider
    read: Callable[[], list[bytes]]

    def only(self) -> MimeMessage:
        (raw,) = self.read()
        message = message_from_bytes(raw, policy=default)
        assert isinstance(message, MimeMessage)
        return message


@pytest.fixture(params=["file", "smtp"])
def mailbox(
    request: pytest.FixtureRequest, settings: Callable[..., Settings], smtp: SmtpDouble, tmp_path: Path
) -> Mailbox:
    if request.param == "file":
        outbox = tmp_path / "home" / "outbox"
        return Mailbox(email_provider(settings()), lambda: [path.read_bytes() for path in sorted(outbox.glob("*"))])
    provider = email_provider(settings(SMTP_URL=f"smtp://127.0.0.1:{smtp.port}?timeout=2"))
    return Mailbox(provider, lambda: [bytes(envelope.content or b"") for envelope in smtp.received])


def smtp_provider(settings: Callable[..., Settings], port: int, user: str = "", timeout: float = 0.5) -> EmailProvider:
    return email_provider(settings(SMTP_URL=f"smtp://{user}127.0.0.1:{port}?timeout={timeout}"))


def test_the_message_arrives_as_it_was_given(mailbox: Mailbox) -> None:
    mailbox.provider.send(MESSAGE)

    arrived = mailbox.only()
    plain, html = arrived.get_body(("plain",)), arrived.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert (arrived["Subject"], arrived["From"], arrived["To"], arrived["Reply-To"]) == (
        "Grüße, Ada",
        "Nexus <no-reply@nexus.example>",
        "Ada Lovelace <ada@example.org>",
        "help@nexus.example",
    )
    assert plain.get_content().replace("\r\n", "\n") == MESSAGE.text
    assert html.get_content().strip() == MESSAGE.html
    assert arrived["List-Unsubscribe"] == "<https://nexus.example/u/1>"
    assert arrived["Date"]


def test_the_result_names_the_provider_and_the_message(mailbox: Mailbox) -> None:
    sent = mailbox.provider.send(MESSAGE)

    assert sent.provider == mailbox.provider.name
    assert sent.provider_id == f"<{MESSAGE.id}@nexus.example>" == mailbox.only()["Message-ID"]
    assert sent.detail


def test_sending_twice_delivers_once_if_the_provider_is_idempotent(mailbox: Mailbox) -> None:
    mailbox.provider.send(MESSAGE)
    mailbox.provider.send(MESSAGE)

    assert len(mailbox.read()) == (1 if mailbox.provider.idempotent else 2)


@pytest.mark.parametrize("linebreak", ["\r\n", "\n", "\r", "\x00"])
@pytest.mark.parametrize("field", ["subject", "sender", "to", "reply_to"])
def test_a_line_break_in_a_header_is_refused(mailbox: Mailbox, field: str, linebreak: str) -> None:
    message = replace(MESSAGE, **{field: f"a@example.org{linebreak}Bcc: evil@example.org"})

    with pytest.raises(Permanent) as refused:
        mailbox.provider.send(message)

    assert refused.value.job_code == "invalid_header"
    assert mailbox.read() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Note", "a\r\nBcc: evil@example.org"),
        ("X-Note\r\nBcc", "evil@example.org"),
        ("Bcc", "evil@example.org"),
        ("message-id", "<other@example.org>"),
        ("", "empty name"),
        ("X Note", "space in the name"),
        ("X-Note", "=?utf-8?q?a=0D=0ABcc:_evil@example.org?="),
        ("X-Note", "=?utf-8?q?a=0D=0ASubject:_another?="),
        ("X-Note", "\ud800"),
    ],
)
def test_a_header_that_could_change_the_message_is_refused(mailbox: Mailbox, name: str, value: str) -> None:
    with pytest.raises(Permanent) as refused:
        mailbox.provider.send(replace(MESSAGE, headers={name: value}))

    assert refused.value.job_code in {"invalid_header", "invalid_content"}
    assert mailbox.read() == []


def test_a_line_break_hidden_in_an_encoded_subject_is_refused(mailbox: Mailbox) -> None:
    with pytest.raises(Permanent) as refused:
        mailbox.provider.send(replace(MESSAGE, subject="=?utf-8?q?a=0D=0ABcc:_evil@example.org?="))

    assert refused.value.job_code == "invalid_header"


def test_a_line_break_hidden_in_an_encoded_display_name_is_refused(mailbox: Mailbox) -> None:
    with pytest.raises(Permanent):
        mailbox.provider.send(replace(MESSAGE, to="=?utf-8?q?a=0D=0ABcc:_evil@example.org?= <ada@example.org>"))


@pytest.mark.parametrize(
    "address", ["", "nobody", "a@x.example, b@x.example", "@x.example", "a@", "ü@x.example", "group: a@x.example, b@x;"]
)
def test_what_is_not_one_address_is_refused(mailbox: Mailbox, address: str) -> None:
    with pytest.raises(Permanent) as refused:
        mailbox.provider.send(replace(MESSAGE, to=address))

    assert refused.value.job_code == "invalid_address"
    assert mailbox.read() == []


def test_text_that_cannot_be_written_is_refused(mailbox: Mailbox) -> None:
    with pytest.raises(Permanent) as refused:
        mailbox.provider.send(replace(MESSAGE, text="\ud800"))

    assert refused.value.job_code == "invalid_content"


def test_a_long_subject_and_long_lines_survive(mailbox: Mailbox) -> None:
    mailbox.provider.send(replace(MESSAGE, subject="word " * 100 + "ü", text="x" * 5000 + "\n"))

    arrived = mailbox.only()
    body = arrived.get_body(("plain",))
    assert arrived["Subject"] == "word " * 100 + "ü"
    assert body is not None
    assert body.get_content() == "x" * 5000 + "\r\n"


# --- SMTP


@pytest.mark.parametrize(
    ("step", "answer", "kind", "code"),
    [
        ("mail", "451 later", Transient, "provider_unavailable"),
        ("mail", "553 not you", Permanent, "sender_refused"),
        ("rcpt", "450 busy", Transient, "provider_unavailable"),
        ("rcpt", "550 no such user", Permanent, "recipient_refused"),
        ("data", "452 full", Transient, "provider_unavailable"),
        ("data", "554 spam", Permanent, "message_refused"),
        ("mail", "drop", Transient, "provider_unreachable"),
        ("mail", "hang", Transient, "provider_unreachable"),
        ("rcpt", "drop", Transient, "provider_unreachable"),
        ("rcpt", "hang", Transient, "provider_unreachable"),
        ("data", "drop", UnknownOutcome, "outcome_unknown"),
        ("data", "hang", UnknownOutcome, "outcome_unknown"),
    ],
)
def test_what_the_server_does_decides_whether_to_repeat(
    settings: Callable[..., Settings], smtp: SmtpDouble, step: Step, answer: str, kind: type[JobError], code: str
) -> None:
    smtp.script[step] = answer

    with pytest.raises(JobError) as raised:
        smtp_provider(settings, smtp.port).send(MESSAGE)

    assert type(raised.value) is kind
    assert raised.value.job_code == code


def test_a_refused_connection_may_be_repeated(settings: Callable[..., Settings], closed_port: int) -> None:
    with pytest.raises(Transient) as raised:
        smtp_provider(settings, closed_port).send(MESSAGE)

    assert raised.value.job_code == "provider_unreachable"


def test_the_envelope_holds_the_bare_addresses(settings: Callable[..., Settings], smtp: SmtpDouble) -> None:
    smtp_provider(settings, smtp.port).send(MESSAGE)

    (envelope,) = smtp.received
    assert (envelope.mail_from, envelope.rcpt_tos) == ("no-reply@nexus.example", ["ada@example.org"])


def test_the_servers_answer_is_the_detail(settings: Callable[..., Settings], smtp: SmtpDouble) -> None:
    assert smtp_provider(settings, smtp.port).send(MESSAGE).detail == "250 2.0.0 OK: queued as 4711"


def test_it_logs_in_with_the_addresss_credentials(settings: Callable[..., Settings], smtp: SmtpDouble) -> None:
    smtp_provider(settings, smtp.port, user="me%40x:p%40ss@").send(MESSAGE)

    assert smtp.logins == [(b"me@x", b"p@ss")]
    assert len(smtp.received) == 1


def test_wrong_credentials_are_permanent_and_not_repeated_in_the_error(
    settings: Callable[..., Settings], smtp: SmtpDouble
) -> None:
    with pytest.raises(Permanent) as raised:
        smtp_provider(settings, smtp.port, user="me:wrong-secret@").send(MESSAGE)

    assert raised.value.job_code == "provider_unauthorized"
    assert "wrong-secret" not in raised.value.detail
    assert smtp.received == []


def test_a_server_without_starttls_gets_no_credentials(settings: Callable[..., Settings], smtp: SmtpDouble) -> None:
    provider = email_provider(settings(SMTP_URL=f"smtp+starttls://me:p%40ss@127.0.0.1:{smtp.port}?timeout=1"))

    with pytest.raises(Permanent) as raised:
        provider.send(MESSAGE)

    assert raised.value.job_code == "provider_misconfigured"
    assert smtp.logins == []


def test_mail_and_credentials_travel_encrypted(
    settings: Callable[..., Settings],
    encrypted_smtp: SmtpDouble,
    server_certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server_certificate))
    url = f"{encrypted_smtp.scheme}://me:p%40ss@127.0.0.1:{encrypted_smtp.port}?timeout=2"

    email_provider(settings(SMTP_URL=url)).send(MESSAGE)

    assert len(encrypted_smtp.received) == 1
    assert encrypted_smtp.logins == [(b"me", b"p@ss")]


def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(
    settings: Callable[..., Settings], encrypted_smtp: SmtpDouble
) -> None:
    url = f"{encrypted_smtp.scheme}://me:p%40ss@127.0.0.1:{encrypted_smtp.port}?timeout=2"

    with pytest.raises(Permanent) as raised:
        email_provider(settings(SMTP_URL=url)).send(MESSAGE)

    assert raised.value.job_code == "provider_misconfigured"
    assert encrypted_smtp.received == []
    assert encrypted_smtp.logins == []


def test_an_smtp_address_is_read_whole() -> None:
    server = parse_smtp_url("smtp+starttls://me%40x:p%3Ass@mail.example?timeout=7.5")

    assert (server.scheme, server.host, server.port, server.timeout) == ("smtp+starttls", "mail.example", 587, 7.5)
    assert (server.user, server.password) == ("me@x", "p:ss")
    assert "p:ss" not in repr(server)


@pytest.mark.parametrize(
    "url", ["smtp://", "http://mail", "smtp://h:99999", "smtp://h?timeout=never", "smtp://h?timeout=0", "smtp://[::1"]
)
def test_an_unusable_smtp_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Permanent) as raised:
        parse_smtp_url(url)

    assert raised.value.job_code == "provider_misconfigured"
    assert url not in raised.value.detail


# --- files


def test_an_outbox_that_cannot_be_written_may_work_later(settings: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "outbox").write_text("a file stands in the way")

    with pytest.raises(Transient) as raised:
        email_provider(settings()).send(MESSAGE)

    assert raised.value.job_code == "outbox_unavailable"

"""Many mails over one connection: step by step, or with the next one's envelope ahead where the server takes that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.smtp import Envelope, Session

from domain.errors import JobError, Permanent, Transient, UnknownOutcome
from domain.ids import new_id
from providers.email import EmailMessage, SentMessage
from providers.email.letters import Letters
from providers.email.mime import compose
from providers.email.smtp import SmtpEmailProvider
from tests.contracts.conftest import _AnyPort
from tests.contracts.smtp_double import SmtpDouble


class Server(SmtpDouble):
    """Answers to a recipient or to a text by what `refusing` says of the address. Counts its conversations."""

    def __init__(self) -> None:
        super().__init__()
        self.refusing: dict[str, tuple[str, str]] = {}
        self.conversations = 0

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        step, answer = self.refusing.get(address, ("", ""))
        if step == "rcpt" and answer == "drop":
            server.transport.abort()
        if step == "rcpt":
            return answer
        return await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        step, answer = self.refusing.get(envelope.rcpt_tos[0], ("", ""))
        if step == "data" and answer == "drop":
            server.transport.abort()
            return answer
        if step == "data":
            return answer
        return await super().handle_DATA(server, session, envelope)


class StepByStep(Server):
    async def handle_EHLO(self, _server: Any, session: Session, _e: Envelope, name: str, said: list[str]) -> list[str]:
        session.host_name = name
        self.conversations += 1
        return said


class Together(Server):
    async def handle_EHLO(self, _server: Any, session: Session, _e: Envelope, name: str, said: list[str]) -> list[str]:
        session.host_name = name
        self.conversations += 1
        return [*said[:-1], "250-PIPELINING", said[-1]]


@pytest.fixture(params=[StepByStep, Together])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    double: Server = request.param()
    controller = _AnyPort(double, hostname="127.0.0.1", port=0)
    controller.start()
    double.port = controller.port
    yield double
    double.released.set()
    controller.stop()


def mail(name: str, **fields: Any) -> EmailMessage:
    message = EmailMessage(
        id=new_id(), sender="News <news@acme.example>", to=f"{name}@example.org", subject="Neuigkeiten: Größe",
        text="Hello\n.a dot at the beginning\n..two\nÄ\n", html="<p>Hello</p>",
        headers={"List-Unsubscribe": f"<https://acme.example/u/{'t' * 64}/{name}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    )  # fmt: skip
    return replace(message, **fields)


def send(server: Server, messages: list[EmailMessage]) -> list[SentMessage | JobError]:
    with SmtpEmailProvider(f"smtp://127.0.0.1:{server.port}?timeout=20").connection() as connection:
        return list(connection.send_many(messages))


def kinds(answers: list[SentMessage | JobError]) -> list[type]:
    return [type(answer) for answer in answers]


def received(server: Server) -> list[str]:
    return [envelope.rcpt_tos[0].partition("@")[0] for envelope in server.received]


def test_each_arrives_whole_and_is_its_own_over_one_connection(server: Server) -> None:
    messages = [mail(name) for name in "abcde"]
    answers = send(server, messages)
    assert [answer.provider_id for answer in answers if isinstance(answer, SentMessage)] == [
        f"<{message.id}@acme.example>" for message in messages
    ]
    assert (received(server), server.conversations) == (list("abcde"), 1)
    for message, envelope in zip(messages, server.received, strict=True):
        arrived = message_from_bytes(bytes(envelope.content or b""), policy=default)
        plain = arrived.get_body(("plain",))
        assert (arrived["To"], arrived["Message-ID"], arrived["Subject"]) == (
            message.to, f"<{message.id}@acme.example>", message.subject,
        )  # fmt: skip
        assert {name: arrived[name] for name in message.headers} == message.headers
        assert len(arrived.get_all("Date", [])) == len(arrived.get_all("To", [])) == 1
        assert plain is not None
        assert plain.get_content().replace("\r\n", "\n") == message.text


@pytest.mark.parametrize("step", ["rcpt", "data"])
def test_who_is_refused_does_not_stop_the_others_nor_costs_a_connection(server: Server, step: str) -> None:
    server.refusing = {"b@example.org": (step, "550 5.1.1 no"), "d@example.org": (step, "451 later")}
    answers = send(server, [mail(name) for name in "abcde"])
    assert kinds(answers) == [SentMessage, Permanent, SentMessage, Transient, SentMessage]
    assert (received(server), server.conversations) == (["a", "c", "e"], 1)


def test_only_the_mail_whose_text_was_written_is_in_doubt_when_the_connection_breaks(server: Server) -> None:
    server.refusing = {"b@example.org": ("data", "drop")}
    answers = send(server, [mail(name) for name in "abc"])
    assert kinds(answers) == [SentMessage, UnknownOutcome, SentMessage]
    assert (received(server), server.conversations) == (["a", "c"], 2)


def test_a_mail_that_the_connection_broke_before_is_not_in_doubt(server: Server) -> None:
    server.refusing = {"b@example.org": ("rcpt", "drop")}
    answers = send(server, [mail(name) for name in "abc"])
    assert kinds(answers) == [SentMessage, Transient, SentMessage]
    assert received(server) == ["a", "c"]


def test_a_mail_that_cannot_be_composed_is_passed_over(server: Server) -> None:
    answers = send(server, [mail("a"), mail("b", to="nobody"), mail("c"), mail("d", subject="x\r\nBcc: e@example.org")])
    assert kinds(answers) == [SentMessage, Permanent, SentMessage, Permanent]
    assert (received(server), server.conversations) == (["a", "c"], 1)


def test_the_next_message_is_taken_up_one_at_a_time(server: Server) -> None:
    """So whoever feeds them can stop: no more than one is ahead of the answers."""
    taken: list[str] = []

    def feed() -> Iterator[EmailMessage]:
        for name in "abcd":
            taken.append(name)
            yield mail(name)

    with SmtpEmailProvider(f"smtp://127.0.0.1:{server.port}?timeout=20").connection() as connection:
        for number, _ in enumerate(connection.send_many(feed()), 1):
            assert len(taken) <= number + 1


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"to": "Ada Lovelace <ada@example.org>"},
        {"to": "x" * 60 + "@a-domain-that-is-rather-long.example.org"},
        {"to": '"quoted name"@example.org'},
        {"html": None, "headers": {}},
        {"headers": {"X-Note": "some words"}},
        {"subject": "word " * 60, "reply_to": "help@acme.example"},
        {"text": "To: b@example.org\r\n\r\nMessage-ID: <x>\n"},
    ],
)
def test_a_mail_that_was_filled_in_says_what_a_composed_one_does(fields: dict[str, Any]) -> None:
    letters = Letters()
    letters.compose(mail("first", **{name: value for name, value in fields.items() if name != "to"}))
    message = mail("second", **fields)
    filled, composed = letters.compose(message), compose(message)
    assert (filled.sender, filled.recipient, filled.message_id) == (
        composed.sender, composed.recipient, composed.message_id,
    )  # fmt: skip
    ours, theirs = (message_from_bytes(each.content, policy=default) for each in (filled, composed))
    assert sorted(ours.keys()) == sorted(theirs.keys())
    for name in set(ours.keys()) - {"Date", "Content-Type"}:
        assert ours[name] == theirs[name]
    for kind in ("plain", "html"):
        bodies = [each.get_body((kind,)) for each in (ours, theirs)]
        assert [body and body.get_content() for body in bodies[:1]] == [
            body and body.get_content() for body in bodies[1:]
        ]
    assert all(len(line) <= 998 for line in filled.content.split(b"\r\n"))


@pytest.mark.parametrize("to", ["a@example.org\r\nBcc: b@example.org", "a@example.org, b@example.org", "a@b\n"])
def test_no_address_gets_into_a_filled_in_mail_that_composing_refuses(to: str) -> None:
    letters = Letters()
    letters.compose(mail("first"))
    with pytest.raises(Permanent):
        letters.compose(mail("second", to=to))


@pytest.mark.parametrize("value", ["a\r\nBcc: b@example.org", "a\nb", "\ud800"])
def test_no_header_gets_into_a_filled_in_mail_that_composing_refuses(value: str) -> None:
    letters = Letters()
    first = mail("first")
    letters.compose(first)
    with pytest.raises(Permanent):
        letters.compose(mail("second", headers={**first.headers, "List-Unsubscribe": value}))

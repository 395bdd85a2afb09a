"""`notification.deliver`: each message at most once, whatever cuts the work off."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from domain.errors import Cancelled, JobError, Permanent, Transient
from jobs.context import JobContext
from jobs.kinds import KINDS
from models.tenant import Message, MessageAttempt
from tasks.notifications import deliver
from tests.contracts.smtp_double import SmtpDouble
from tests.integration.tasks.conftest import HoldingSmtpDouble, next_attempt

MAIL = {"to": "ada@example.com", "subject": "Hello", "text": "Hello, Ada."}

Delivery = Callable[..., tuple[JobContext, Any]]


@pytest.fixture
def delivery(
    make_context: Callable[..., Any], pooled_tenant: UUID, under: Callable[..., JobContext], smtp: SmtpDouble
) -> Delivery:
    """A claimed delivery by the mail server of the test."""

    def make(timeout: float = 0.3, **fields: Any) -> tuple[JobContext, Any]:
        context, payload = make_context("notification.deliver", pooled_tenant, {**MAIL, **fields})
        return under(context, smtp_url=SecretStr(f"smtp://127.0.0.1:{smtp.port}?timeout={timeout}")), payload

    return make


def message_of(context: JobContext) -> Message:
    with context.session() as session:
        return session.get_one(Message, (context.tenant_id, context.job_id))


def attempts_of(context: JobContext) -> list[tuple[int, str, str | None]]:
    with context.session() as session:
        rows = session.scalars(
            select(MessageAttempt).where(MessageAttempt.message_id == context.job_id).order_by(MessageAttempt.number)
        )
        return [(row.number, row.state, row.error_code) for row in rows]


def left_by_a_crash(context: JobContext, provider: str) -> None:
    """The rows that a process leaves which is killed during the provider call."""
    keys = {"tenant_id": context.tenant_id}
    with context.session() as session:
        session.add(
            Message(
                **keys, id=context.job_id, channel="email", recipient=MAIL["to"], subject="Hello", body_text="Hello"
            )
        )
        session.flush()
        started = datetime.now(UTC)
        session.add(
            MessageAttempt(
                **keys, message_id=context.job_id, number=1, provider=provider, state="calling", started_at=started
            )
        )


def test_a_message_is_sent_and_recorded(delivery: Delivery, smtp: SmtpDouble) -> None:
    context, payload = delivery(html="<p>Hello</p>")

    result = deliver(context, payload)

    assert result == {"message_id": str(context.job_id), "status": "sent", "provider": "smtp"}
    assert [envelope.rcpt_tos for envelope in smtp.received] == [["ada@example.com"]]
    message = message_of(context)
    assert (message.status, message.provider, message.recipient) == ("sent", "smtp", "ada@example.com")
    assert str(context.job_id) in (message.provider_id or "")
    assert message.sent_at is not None
    assert attempts_of(context) == [(1, "succeeded", None)]


def test_without_a_mail_server_the_message_is_a_file(make_context: Callable[..., Any], tenant: UUID) -> None:
    context, payload = make_context("notification.deliver", tenant, MAIL)

    result = deliver(context, payload)

    assert result == {"message_id": str(context.job_id), "status": "sent", "provider": "file"}
    assert (context.settings.home / "outbox" / f"{context.job_id}.eml").exists()


def test_a_sent_message_is_not_sent_again(delivery: Delivery, smtp: SmtpDouble) -> None:
    context, payload = delivery()
    first = deliver(context, payload)

    second = deliver(next_attempt(context), payload)

    assert second == first
    assert len(smtp.received) == 1


def test_a_crash_during_the_call_leaves_the_outcome_unknown_and_sends_nothing_more(
    delivery: Delivery, smtp: SmtpDouble
) -> None:
    context, payload = delivery()
    left_by_a_crash(context, "smtp")

    result = deliver(next_attempt(context), payload)

    assert result == {"message_id": str(context.job_id), "status": "unknown", "provider": "smtp"}
    assert smtp.received == []
    assert attempts_of(context) == [(1, "unknown", "interrupted")]
    assert deliver(next_attempt(context), payload) == result


def test_a_crash_during_a_harmless_call_is_followed_by_another(
    make_context: Callable[..., Any], pooled_tenant: UUID
) -> None:
    context, payload = make_context("notification.deliver", pooled_tenant, MAIL)
    left_by_a_crash(context, "file")

    result = deliver(next_attempt(context), payload)

    assert result["status"] == "sent"
    assert attempts_of(context) == [(1, "unknown", "interrupted"), (2, "succeeded", None)]


def test_an_attempt_that_was_taken_for_dead_is_not_repeated_and_its_success_counts(
    delivery: Delivery, smtp: HoldingSmtpDouble
) -> None:
    context, payload = delivery(timeout=20)
    smtp.script["data"] = "hold"
    with ThreadPoolExecutor(1) as worker:
        slow = worker.submit(deliver, context, payload)
        assert smtp.held.wait(10)
        assert attempts_of(context) == [(1, "calling", None)]  # written before the call

        overtaking = deliver(next_attempt(context), payload)
        smtp.released.set()

        assert (overtaking["status"], slow.result(10)["status"]) == ("unknown", "sent")
    assert message_of(context).status == "sent"
    assert attempts_of(context) == [(1, "succeeded", None)]
    assert len(smtp.received) == 1


def test_an_attempt_that_was_taken_for_dead_and_fails_later_moves_nothing_back(
    delivery: Delivery, smtp: HoldingSmtpDouble
) -> None:
    context, payload = delivery(timeout=20)
    smtp.script["data"] = "hang"  # until it is released, and then it fails
    with ThreadPoolExecutor(1) as worker:
        slow = worker.submit(deliver, context, payload)
        assert smtp.held.wait(10)
        deliver(next_attempt(context), payload)
        smtp.released.set()
        with pytest.raises(Transient):
            slow.result(10)

    assert message_of(context).status == "unknown"


def test_no_connection_to_the_database_is_held_during_the_call(delivery: Delivery, smtp: HoldingSmtpDouble) -> None:
    context, payload = delivery(timeout=20)
    smtp.script["data"] = "hold"
    with ThreadPoolExecutor(1) as worker:
        slow = worker.submit(deliver, context, payload)
        assert smtp.held.wait(10)

        with context.session() as session:
            others = session.scalar(
                text("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
                     " AND usename = current_user AND pid <> pg_backend_pid()")
            )  # fmt: skip
        smtp.released.set()
        slow.result(10)

    assert others == 0


def test_a_busy_server_is_tried_again(delivery: Delivery, smtp: SmtpDouble) -> None:
    context, payload = delivery()
    smtp.script["rcpt"] = "451 Try later"

    with pytest.raises(Transient):
        deliver(context, payload)

    assert message_of(context).status == "delivery_attempted"
    smtp.script.clear()
    assert deliver(next_attempt(context), payload)["status"] == "sent"
    assert attempts_of(context) == [(1, "failed", "provider_unavailable"), (2, "succeeded", None)]


def test_the_last_attempt_gives_the_message_up(delivery: Delivery, smtp: SmtpDouble) -> None:
    context, payload = delivery()
    smtp.script["rcpt"] = "451 Try later"
    last = replace(context, attempt=KINDS["notification.deliver"].retry.max_attempts)

    with pytest.raises(Transient):
        deliver(last, payload)

    assert message_of(context).status == "undelivered"


def test_a_refused_recipient_is_not_tried_again(delivery: Delivery, smtp: SmtpDouble) -> None:
    context, payload = delivery()
    smtp.script["rcpt"] = "550 No such user"

    codes = []
    for attempt in (context, next_attempt(context)):
        with pytest.raises(Permanent) as raised:
            deliver(attempt, payload)
        codes.append(raised.value.job_code)

    assert codes == ["recipient_refused", "recipient_refused"]
    assert message_of(context).status == "undelivered"
    assert attempts_of(context) == [(1, "failed", "recipient_refused")]


@pytest.mark.parametrize("silence", ["hang", "drop"])
def test_a_server_that_falls_silent_after_the_message_is_not_asked_again(
    delivery: Delivery, smtp: SmtpDouble, silence: str
) -> None:
    context, payload = delivery()
    smtp.script["data"] = silence

    result = deliver(context, payload)

    assert (result["status"], message_of(context).status) == ("unknown", "unknown")
    smtp.script.clear()
    smtp.received.clear()
    assert deliver(next_attempt(context), payload) == result
    assert smtp.received == []
    assert attempts_of(context) == [(1, "unknown", "outcome_unknown")]


def test_a_mail_address_of_the_platform_that_cannot_work_is_the_messages_fate(
    make_context: Callable[..., Any], pooled_tenant: UUID, under: Callable[..., JobContext]
) -> None:
    context, payload = make_context("notification.deliver", pooled_tenant, MAIL)
    broken = under(context, smtp_url=SecretStr("smtp://:0/"))

    with pytest.raises(Permanent):
        deliver(broken, payload)

    assert message_of(context).status == "not_sent"


def test_a_cancelled_message_is_not_sent(delivery: Delivery, smtp: SmtpDouble) -> None:
    context, payload = delivery()
    context.request_cancel()

    with pytest.raises(Cancelled):
        deliver(context, payload)

    assert smtp.received == []


def test_a_message_belongs_to_its_tenant(
    delivery: Delivery, make_tenant: Callable[..., UUID], make_context: Callable[..., Any]
) -> None:
    context, payload = delivery()
    deliver(context, payload)
    other, _ = make_context("system.ping", make_tenant("pooled"), {})

    with other.session() as session:
        assert session.scalars(select(Message)).all() == []
        assert session.scalars(select(MessageAttempt)).all() == []


def test_an_error_tells_no_more_than_the_server_said(delivery: Delivery, smtp: SmtpDouble) -> None:
    context, payload = delivery()
    smtp.script["mail"] = "553 Sender unknown"

    with pytest.raises(JobError) as raised:
        deliver(context, payload)

    assert raised.value.job_code == "sender_refused"
    assert message_of(context).status == "not_sent"

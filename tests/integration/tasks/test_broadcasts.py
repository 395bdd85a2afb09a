"""Several messages: failover between providers, quiet hours, feeds, batches over one connection; and a crash at every step."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.errors import Cancelled, JobError, NotNow, Permanent, Transient
from domain.ids import new_id
from jobs.context import JobContext
from models.tenant import (
    Broadcast,
    Message,
    MessageAttempt,
    MeteredUsage,
    NotificationProvider,
    NotificationSettings,
    Recipient,
    RecipientDevice,
    Suppression,
)
from tasks.notifications import deliver, deliver_batch, fan_out
from tasks.notifications.batches import WINDOW
from tasks.notifications.routes import DOUBTS_IN_A_ROW, Connected
from tests.contracts.smtp_double import SmtpDouble
from tests.integration.tasks.conftest import next_attempt

MAIL = {"to": "ada@example.com", "subject": "Hello", "text": "Hello, Ada."}


@pytest.fixture
def ready(
    make_context: Callable[..., Any],
    pooled_tenant: UUID,
    under: Callable[..., JobContext],
    smtp: SmtpDouble,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[JobContext, Any]]:
    """A claimed job of a kind, on a platform with the test's mail server. Loopback is open to tenants' own servers.

    However slow the machine is, a batch decides about its recipients once.
    """
    monkeypatch.setattr("tasks.notifications.batches.FRESH_SECONDS", 3600.0)

    def make(kind: str, payload: dict[str, Any]) -> tuple[JobContext, Any]:
        context, loaded = make_context(kind, pooled_tenant, payload)
        url = SecretStr(f"smtp://127.0.0.1:{smtp.port}?timeout=10")
        return under(context, smtp_url=url, webhook_private_networks="127.0.0.0/8"), loaded

    return make


def add(context: JobContext, *rows: Any) -> None:
    with context.session() as session:
        session.add_all(rows)


def settings_row(context: JobContext, **values: Any) -> NotificationSettings:
    return NotificationSettings(tenant_id=context.tenant_id, id=context.tenant_id, **values)


def own_smtp(context: JobContext, name: str, port: int, priority: int) -> NotificationProvider:
    row = NotificationProvider(
        tenant_id=context.tenant_id, id=new_id(), name=name, channel="email", type="smtp", priority=priority, last_four={},
        config={"host": "127.0.0.1", "port": port, "encryption": "none", "from": "Acme <own@acme.example>"},
    )  # fmt: skip
    vault = context.tenancy.vault(context.tenant_id)
    row.secret_sealed = vault.seal(json.dumps({}).encode(), "notification_providers", "secret_sealed", row.id)
    return row


def recipients(context: JobContext, count: int) -> list[Recipient]:
    rows = [
        Recipient(
            tenant_id=context.tenant_id, id=new_id(), external_id=f"u{n}", email=f"u{n}@example.com", attributes={}
        )
        for n in range(count)
    ]
    add(context, *rows)
    return rows


def attempts(context: JobContext) -> list[tuple[str, str]]:
    with context.session() as session:
        rows = session.scalars(select(MessageAttempt).order_by(MessageAttempt.started_at))
        return [(row.provider, row.state) for row in rows]


def statuses(context: JobContext) -> dict[str, int]:
    with context.session() as session:
        return {
            row[0]: row[1] for row in session.execute(select(Message.status, func.count()).group_by(Message.status))
        }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- failover


def test_the_next_provider_is_asked_when_the_first_cannot_be_reached(ready: Any, smtp: SmtpDouble) -> None:
    context, payload = ready("notification.deliver", MAIL)
    add(context, own_smtp(context, "down", free_port(), 1), own_smtp(context, "up", smtp.port, 2))

    assert deliver(context, payload)["provider"] == "smtp:up"

    assert attempts(context) == [("smtp:down", "failed"), ("smtp:up", "succeeded")]
    assert [envelope.mail_from for envelope in smtp.received] == ["own@acme.example"]


def test_the_platforms_provider_serves_a_tenant_with_its_own_only_if_it_may(ready: Any, smtp: SmtpDouble) -> None:
    context, payload = ready("notification.deliver", MAIL)
    add(context, own_smtp(context, "down", free_port(), 1))

    with pytest.raises(Transient):
        deliver(context, payload)
    assert smtp.received == []
    add(context, settings_row(context, platform_providers="fallback"))
    assert deliver(next_attempt(context), payload)["provider"] == "smtp"


def test_a_tenant_that_never_uses_the_platforms_providers_is_told_so(ready: Any, smtp: SmtpDouble) -> None:
    context, payload = ready("notification.deliver", MAIL)
    add(context, settings_row(context, platform_providers="never"))

    with pytest.raises(Permanent) as raised:
        deliver(context, payload)

    assert (raised.value.job_code, smtp.received) == ("no_provider", [])


def test_nobody_else_is_asked_after_a_provider_fell_silent_with_the_message(ready: Any, smtp: SmtpDouble) -> None:
    context, payload = ready("notification.deliver", MAIL)
    add(context, own_smtp(context, "first", smtp.port, 1), settings_row(context, platform_providers="fallback"))
    smtp.script["data"] = "drop"

    assert deliver(context, payload)["status"] == "unknown"

    assert attempts(context) == [("smtp:first", "unknown")]


def test_a_tenants_server_inside_our_network_is_refused(
    make_context: Callable[..., Any], pooled_tenant: UUID, smtp: SmtpDouble
) -> None:
    context, payload = make_context("notification.deliver", pooled_tenant, MAIL)
    add(context, own_smtp(context, "inside", smtp.port, 1))

    with pytest.raises(JobError) as raised:
        deliver(context, payload)

    assert (raised.value.job_code, smtp.received) == ("provider_misconfigured", [])


def test_a_bad_address_is_suppressed_and_not_written_to_again(ready: Any, smtp: SmtpDouble) -> None:
    context, payload = ready("notification.deliver", MAIL)
    smtp.script["rcpt"] = "550 5.1.1 No such user"
    with pytest.raises(Permanent):
        deliver(context, payload)
    smtp.script.clear()

    other, again = ready("notification.deliver", {**MAIL, "critical": True})

    assert deliver(other, again)["reason"] == "suppression"
    with context.session() as session:
        assert [(row.address, row.reason) for row in session.scalars(select(Suppression))] == [
            ("ada@example.com", "hard_bounce")
        ]


# --- quiet hours


def test_a_message_in_quiet_hours_waits_without_using_an_attempt_up_and_is_never_late(
    ready: Any, smtp: SmtpDouble
) -> None:
    context, payload = ready("notification.deliver", MAIL)
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=1), now + timedelta(hours=3)
    quiet = {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}
    add(context, settings_row(context, quiet_hours=quiet))

    with pytest.raises(NotNow) as raised:
        deliver(context, payload)

    wait = raised.value.retry_after
    assert wait is not None
    assert 0 < wait * 2 <= 3 * 3600 + 60  # an engine may wait up to twice as long as it is asked to
    assert statuses(context) == {"queued": 1}
    with context.session() as session:
        session.get_one(NotificationSettings, (context.tenant_id, context.tenant_id)).quiet_hours = None
    assert deliver(next_attempt(context), payload)["status"] == "sent"
    assert len(smtp.received) == 1


# --- broadcasts


def batches_of(context: JobContext, make: Any, payload: dict[str, Any]) -> list[tuple[JobContext, Any]]:
    """The fan-out's batches, claimed."""
    from tests.conftest import claim_context

    fan_out(context, payload)
    rows = context.tenancy.platform.fetch(
        "SELECT id FROM jobs WHERE parent_id = %(id)s AND kind = 'notification.batch' AND state = 'queued' ORDER BY id",
        {"id": context.job_id},
    )
    claimed = []
    for row in rows:
        batch, loaded = claim_context(context.tenancy, row["id"], context.principal)
        claimed.append((batch, loaded))
    return claimed


NEWS = {"name": "News", "subject": "Hi", "text": "Hi", "audience": {}, "category": "news"}


def test_a_batch_goes_over_one_connection_and_each_recipient_gets_one_message(ready: Any, smtp: SmtpDouble) -> None:
    context, payload = ready("notification.broadcast", NEWS)
    recipients(context, 50)

    [(batch, loaded)] = batches_of(context, ready, payload)
    deliver_batch(batch, loaded)
    deliver_batch(next_attempt(batch), loaded)

    assert sorted(envelope.rcpt_tos[0] for envelope in smtp.received) == sorted(f"u{n}@example.com" for n in range(50))
    assert statuses(context) == {"sent": 50}
    with context.session() as session:
        assert session.scalar(select(func.count()).select_from(MeteredUsage)) == 50


def test_a_fan_out_that_is_killed_anywhere_writes_to_each_recipient_once(
    ready: Any, smtp: SmtpDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.notifications.broadcasts.BATCH", 7)
    context, payload = ready("notification.broadcast", NEWS)
    recipients(context, 20)
    for steps in range(1, 8):
        with killed_after(context, steps) as dying, contextlib.suppress(Killed):
            fan_out(dying, payload)
        context = next_attempt(context)
    claimed = batches_of(context, ready, payload)
    for batch, loaded in claimed:
        deliver_batch(batch, loaded)
    assert sorted(envelope.rcpt_tos[0] for envelope in smtp.received) == sorted(f"u{n}@example.com" for n in range(20))


def test_one_refused_recipient_does_not_stop_the_others(
    ready: Any, smtp: SmtpDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, payload = ready("notification.broadcast", NEWS)
    recipients(context, 5)
    answers = iter(["250 OK", "550 5.1.1 unknown", "250 OK", "451 later", "250 OK"])

    async def rcpt(self: Any, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.rcpt_tos.append(address)
        return next(answers, "250 OK")

    monkeypatch.setattr(type(smtp), "handle_RCPT", rcpt)
    [(batch, loaded)] = batches_of(context, ready, payload)
    with pytest.raises(Transient):
        deliver_batch(batch, loaded)
    assert statuses(context) == {"sent": 3, "undelivered": 1, "delivery_attempted": 1}
    deliver_batch(next_attempt(batch), loaded)
    assert statuses(context) == {"sent": 4, "undelivered": 1}


def test_a_paused_broadcast_waits_and_a_cancelled_one_ends(ready: Any, smtp: SmtpDouble) -> None:
    context, payload = ready("notification.broadcast", NEWS)
    recipients(context, 3)
    [(batch, loaded)] = batches_of(context, ready, payload)

    def turn(state: str) -> None:
        with context.session() as session:
            session.get_one(Broadcast, (context.tenant_id, context.job_id)).state = state

    turn("paused")
    with pytest.raises(NotNow):
        deliver_batch(batch, loaded)
    turn("cancelled")
    with pytest.raises(JobError) as raised:
        deliver_batch(batch, loaded)
    assert (raised.value.job_code, smtp.received, statuses(context)) == ("cancelled", [], {})


def test_recipients_in_quiet_hours_get_the_broadcast_later_and_once(
    ready: Any, smtp: SmtpDouble, make_context: Any
) -> None:
    from tests.conftest import claim_context

    context, payload = ready("notification.broadcast", NEWS)
    awake, asleep = recipients(context, 2)
    now = datetime.now(UTC)
    with context.session() as session:
        session.get_one(Recipient, (context.tenant_id, asleep.id)).quiet_hours = {
            "start": f"{now - timedelta(hours=1):%H:%M}", "end": f"{now + timedelta(hours=2):%H:%M}"
        }  # fmt: skip
    [(batch, loaded)] = batches_of(context, ready, payload)
    deliver_batch(batch, loaded)
    deliver_batch(next_attempt(batch), loaded)
    assert [envelope.rcpt_tos[0] for envelope in smtp.received] == [awake.email]
    [held] = context.tenancy.platform.fetch(
        "SELECT id, state FROM jobs WHERE parent_id = %(id)s AND kind = 'notification.deliver'", {"id": batch.job_id}
    )
    assert held["state"] == "scheduled"
    with context.session() as session:
        session.get_one(Recipient, (context.tenant_id, asleep.id)).quiet_hours = {}
    later, message = claim_context(context.tenancy, held["id"], context.principal)
    deliver(later, message)
    deliver_batch(next_attempt(batch), loaded)
    assert sorted(envelope.rcpt_tos[0] for envelope in smtp.received) == sorted([awake.email, asleep.email])
    assert statuses(context) == {"sent": 2}


# --- a crash at every step


class Killed(BaseException):
    """What SIGKILL looks like from the rows: nothing after it happens."""


@contextmanager
def killed_after(context: JobContext, transactions: int) -> Iterator[JobContext]:
    """A context whose process dies before its next transaction after so many."""
    left = [transactions]

    class Dying(type(context.tenancy)):  # type: ignore[misc]
        @contextmanager
        def session(self, tenant_id: UUID) -> Iterator[Session]:
            if not left[0]:
                raise Killed
            left[0] -= 1
            with super().session(tenant_id) as session:
                yield session

        def fetch_many(self, tenant_id: UUID, statements: Any) -> Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return super().fetch_many(tenant_id, statements)

    dying = object.__new__(Dying)
    dying.__dict__.update(context.tenancy.__dict__)
    yield replace(context, tenancy=dying)


@pytest.mark.parametrize("channel", ["smtp", "file"])
@pytest.mark.parametrize("transactions", range(6))
def test_a_delivery_killed_between_any_two_transactions_sends_once_or_says_unknown(
    ready: Any, make_context: Any, pooled_tenant: UUID, smtp: SmtpDouble, transactions: int, channel: str
) -> None:
    """SMTP is not idempotent: killed after the call, the message is `unknown`. A file is: it is written again, the same."""
    context, payload = (
        ready("notification.deliver", MAIL)
        if channel == "smtp"
        else make_context("notification.deliver", pooled_tenant, MAIL)
    )
    died = False
    with killed_after(context, transactions) as dying:
        try:
            deliver(dying, payload)
        except Killed:
            died = True
    result = deliver(next_attempt(context), payload)
    if channel == "file":
        assert result["status"] == "sent"
        assert (context.settings.home / "outbox" / f"{context.job_id}.eml").exists()
        return
    assert (result["status"], len(smtp.received)) in {("sent", 1), ("unknown", 1), ("unknown", 0)}
    assert died or result["status"] == "sent"
    if result["status"] == "unknown":
        assert deliver(next_attempt(context), payload)["status"] == "unknown"
    assert len(smtp.received) <= 1


@pytest.mark.parametrize("transactions", range(9))
def test_a_batch_killed_between_any_two_transactions_writes_to_nobody_twice(
    ready: Any, smtp: SmtpDouble, transactions: int
) -> None:
    context, payload = ready("notification.broadcast", NEWS)
    count = WINDOW * 2 + 3
    recipients(context, count)
    [(batch, loaded)] = batches_of(context, ready, payload)
    with killed_after(batch, transactions) as dying, contextlib.suppress(Killed):
        deliver_batch(dying, loaded)
    deliver_batch(next_attempt(batch), loaded)

    got = [envelope.rcpt_tos[0] for envelope in smtp.received]
    assert len(got) == len(set(got))
    found = statuses(context)
    assert found.get("sent", 0) + found.get("unknown", 0) == count
    assert found.get("unknown", 0) == {4: WINDOW, 5: WINDOW, 6: 3}.get(transactions, 0)
    with context.session() as session:
        sent = set(session.scalars(select(Message.recipient).where(Message.status == "sent")))
    assert sent <= set(got)
    unknown = [state for _, state in attempts(context) if state == "unknown"]
    assert len(unknown) == found.get("unknown", 0)


def test_a_batch_that_is_killed_while_its_server_has_a_message_leaves_its_window_unknown_and_no_more(
    ready: Any, smtp: SmtpDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, payload = ready("notification.broadcast", NEWS)
    recipients(context, WINDOW * 2)
    [(batch, loaded)] = batches_of(context, ready, payload)

    def dying(self: Any, window: Any) -> Iterator[Any]:
        for number, answer in enumerate(whole(self, window), 1):
            yield answer
            if number == 5:
                raise Killed

    whole = Connected.send
    monkeypatch.setattr(Connected, "send", dying)
    with killed_after(batch, 4) as doomed, contextlib.suppress(Killed):
        deliver_batch(doomed, loaded)
    monkeypatch.undo()
    deliver_batch(next_attempt(batch), loaded)

    got = [envelope.rcpt_tos[0] for envelope in smtp.received]
    assert (len(got), len(set(got))) == (5 + WINDOW, 5 + WINDOW)
    assert statuses(context) == {"unknown": WINDOW, "sent": WINDOW}


def test_an_attempt_that_was_taken_for_dead_writes_down_what_it_knows_and_sends_no_more(
    ready: Any, smtp: SmtpDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It slept in the middle of a window, and another attempt did the rest meanwhile."""
    context, payload = ready("notification.broadcast", NEWS)
    recipients(context, WINDOW * 3)
    [(batch, loaded)] = batches_of(context, ready, payload)
    whole, others = Connected.send, []

    def sleeping(self: Any, window: Any) -> Iterator[Any]:
        for number, answer in enumerate(whole(self, window), 1):
            if number == 3 and not others:
                others.append(True)
                deliver_batch(next_attempt(batch), loaded)
                assert statuses(context) == {"unknown": WINDOW, "sent": WINDOW * 2}
            yield answer

    monkeypatch.setattr(Connected, "send", sleeping)
    with pytest.raises(Cancelled):
        deliver_batch(batch, loaded)

    got = [envelope.rcpt_tos[0] for envelope in smtp.received]
    assert sorted(got) == sorted(f"u{n}@example.com" for n in range(WINDOW * 3))
    assert statuses(context) == {"sent": WINDOW * 3}
    assert {state for _, state in attempts(context)} == {"succeeded"}
    with context.session() as session:
        assert session.scalar(select(func.count()).select_from(MeteredUsage)) == WINDOW * 3


def test_a_batch_stops_when_its_server_keeps_falling_silent(ready: Any, smtp: SmtpDouble) -> None:
    context, payload = ready("notification.broadcast", NEWS)
    recipients(context, WINDOW)
    [(batch, loaded)] = batches_of(context, ready, payload)
    smtp.script["data"] = "drop"
    with pytest.raises(Transient) as raised:
        deliver_batch(batch, loaded)
    assert raised.value.job_code == "provider_unreachable"
    assert DOUBTS_IN_A_ROW <= statuses(context)["unknown"] <= DOUBTS_IN_A_ROW + 1
    smtp.script.clear()
    doubted = {envelope.rcpt_tos[0] for envelope in smtp.received}
    smtp.received.clear()
    deliver_batch(next_attempt(batch), loaded)
    assert doubted.isdisjoint(envelope.rcpt_tos[0] for envelope in smtp.received)
    assert sum(statuses(context).values()) == WINDOW


def test_a_batch_is_written_down_in_few_transactions(ready: Any, smtp: SmtpDouble) -> None:
    """A message costs a part of a commit, however many there are."""
    context, payload = ready("notification.broadcast", NEWS)
    recipients(context, WINDOW * 10)
    [(batch, loaded)] = batches_of(context, ready, payload)
    with killed_after(batch, 10 + 6) as counted:
        deliver_batch(counted, loaded)
    assert statuses(context) == {"sent": WINDOW * 10}


def test_who_is_suppressed_while_a_batch_goes_out_slowly_is_not_written_to(
    ready: Any, smtp: SmtpDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, payload = ready("notification.broadcast", NEWS)
    people = recipients(context, WINDOW * 2)
    [(batch, loaded)] = batches_of(context, ready, payload)
    monkeypatch.setattr("tasks.notifications.batches.FRESH_SECONDS", 0.0)
    whole = Connected.send

    def slow(self: Any, window: Any) -> Iterator[Any]:
        yield from whole(self, window)
        if len(smtp.received) == WINDOW:
            row = Suppression(tenant_id=context.tenant_id, id=new_id(), channel="email", reason="complaint")
            row.address = people[-1].email or ""
            add(context, row)

    monkeypatch.setattr(Connected, "send", slow)
    deliver_batch(batch, loaded)
    assert statuses(context) == {"sent": WINDOW * 2 - 1, "not_sent": 1}
    assert people[-1].email not in {envelope.rcpt_tos[0] for envelope in smtp.received}


def test_batches_do_not_overlap_when_the_audience_changes_while_one_is_handed_over(
    ready: Any, smtp: SmtpDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.notifications.broadcasts.BATCH", 7)
    context, payload = ready("notification.broadcast", NEWS)
    people = recipients(context, 20)
    with killed_after(context, 1) as dying, contextlib.suppress(Killed):
        fan_out(dying, payload)  # the first batch is submitted, and the broadcast does not know it
    with context.session() as session:
        session.get_one(Recipient, (context.tenant_id, people[2].id)).email = None
    following = next_attempt(context)
    claimed = batches_of(following, ready, payload)
    ranges = sorted((loaded["after"], loaded["through"]) for _, loaded in claimed)
    assert all(before[1] == then[0] for before, then in pairwise(ranges))
    for batch, loaded in claimed:
        deliver_batch(batch, loaded)
    assert len(smtp.received) == 19
    assert statuses(context) == {"sent": 19}


# --- push


def device(context: JobContext, person: Recipient, target: str) -> RecipientDevice:
    row = RecipientDevice(
        tenant_id=context.tenant_id, id=new_id(), recipient_id=person.id, kind="fcm", target_hash=target.encode(),
        last_four=target[-4:],
    )  # fmt: skip
    vault = context.tenancy.vault(context.tenant_id)
    row.target_sealed = vault.seal(target.encode(), "recipient_devices", "target_sealed", row.id)
    return row


def test_a_push_broadcast_writes_one_message_to_each_person_and_reaches_every_device(
    ready: Any, smtp: SmtpDouble
) -> None:
    context, payload = ready("notification.broadcast", {**NEWS, "channel": "push"})
    two, one, none = recipients(context, 3)
    add(context, device(context, two, "token-a"), device(context, two, "token-b"), device(context, one, "token-c"))
    [(batch, loaded)] = batches_of(context, ready, payload)
    deliver_batch(batch, loaded)
    deliver_batch(next_attempt(batch), loaded)
    assert statuses(context) == {"sent": 2}
    with context.session() as session:
        details = sorted(session.scalars(select(MessageAttempt.detail)))
        reached = set(session.scalars(select(Message.recipient_id)))
    assert details == ["1 of 1 devices", "2 of 2 devices"]
    assert reached == {two.id, one.id}
    assert none.id not in reached


def test_a_push_of_a_broadcast_waits_for_the_end_of_quiet_hours_and_comes_once(ready: Any) -> None:
    from tests.conftest import claim_context

    context, payload = ready("notification.broadcast", {**NEWS, "channel": "push"})
    [person] = recipients(context, 1)
    add(context, device(context, person, "token-a"))
    now = datetime.now(UTC)
    with context.session() as session:
        session.get_one(Recipient, (context.tenant_id, person.id)).quiet_hours = {
            "start": f"{now - timedelta(hours=1):%H:%M}", "end": f"{now + timedelta(hours=2):%H:%M}"
        }  # fmt: skip
    [(batch, loaded)] = batches_of(context, ready, payload)
    deliver_batch(batch, loaded)
    assert statuses(context) == {"queued": 1}
    [held] = context.tenancy.platform.fetch(
        "SELECT id, state FROM jobs WHERE parent_id = %(id)s AND kind = 'notification.batch'", {"id": batch.job_id}
    )
    assert held["state"] == "scheduled"
    with context.session() as session:
        session.get_one(Recipient, (context.tenant_id, person.id)).quiet_hours = {}
    later, alone = claim_context(context.tenancy, held["id"], context.principal)
    deliver_batch(later, alone)
    deliver_batch(next_attempt(batch), loaded)
    assert statuses(context) == {"sent": 1}
    assert len(attempts(context)) == 1

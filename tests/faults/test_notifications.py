"""Workers that are killed while they deliver: nobody gets a message twice, and what nobody can know is called unknown."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import func, select

from bench.engine import Engine, until
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from models.tenant import Message, Recipient
from tasks.notifications.batches import WINDOW
from tenancy.access import Tenancy
from tests.faults.conftest import state
from tests.integration.tasks.conftest import HoldingSmtpDouble, _AnyPort

pytestmark = pytest.mark.faults

MAIL = {"to": "ada@example.com", "subject": "Hello", "text": "Hello"}


@pytest.fixture
def smtp() -> Iterator[HoldingSmtpDouble]:
    """A mail server that can hold a message, and remembers all that it took."""
    double = HoldingSmtpDouble()
    controller = _AnyPort(double, hostname="127.0.0.1", port=0)
    controller.start()
    double.port = controller.port
    yield double
    double.released.set()
    controller.stop()


def counts(tenancy: Tenancy, tenant: UUID) -> dict[str, int]:
    """The tenant's messages by status."""
    with tenancy.session(tenant) as session:
        return {
            row[0]: row[1] for row in session.execute(select(Message.status, func.count()).group_by(Message.status))
        }


def test_a_worker_killed_while_the_mail_server_has_the_message_leaves_it_unknown_and_unsent_again(
    engine: Engine, tenancy: Tenancy, tenant: UUID, smtp: HoldingSmtpDouble
) -> None:
    url = {"SMTP_URL": f"smtp://127.0.0.1:{smtp.port}?timeout=60"}
    engine.dispatcher()
    first = engine.worker("notifications", pool="threads", name="first", **url)
    smtp.script["data"] = "hold"
    job_id = submit(tenancy, NewJob("notification.deliver", MAIL, system("test", tenant))).id
    assert smtp.held.wait(60)
    engine.kill(first)
    smtp.script.clear()
    engine.worker("notifications", pool="threads", name="second", **url)
    until(lambda: state(tenancy, job_id) == "succeeded", 60, "the second attempt")
    assert counts(tenancy, tenant) == {"unknown": 1}
    assert smtp.received == []  # the server never said that it took it, and nobody asked again


def test_a_broadcast_whose_workers_are_killed_reaches_nobody_twice_and_loses_nobody_silently(
    engine: Engine, tenancy: Tenancy, tenant: UUID, smtp: HoldingSmtpDouble
) -> None:
    total = 600
    with tenancy.session(tenant) as session:
        session.add_all(
            Recipient(tenant_id=tenant, id=new_id(), external_id=f"u{n}", email=f"u{n}@example.com")
            for n in range(total)
        )
    url = {"SMTP_URL": f"smtp://127.0.0.1:{smtp.port}?timeout=60"}
    engine.dispatcher()
    payload = {"name": "News", "subject": "Hi", "text": "Hi", "audience": {}, "category": "news"}
    worker = engine.worker("notifications", pool="threads", name="w0", **url)
    submit(tenancy, NewJob("notification.broadcast", payload, system("test", tenant)))
    for number, reached in enumerate((40, 150, 300), 1):
        until(lambda reached=reached: len(smtp.received) >= reached, 90, f"{reached} messages")
        engine.kill(worker)
        worker = engine.worker("notifications", pool="threads", name=f"w{number}", **url)
    until(lambda: settled(tenancy, tenant) == total, 120, "all messages")
    got = [envelope.rcpt_tos[0] for envelope in smtp.received]
    assert len(got) == len(set(got))
    found = counts(tenancy, tenant)
    assert found.get("unknown", 0) <= 3 * 2 * 20  # at most a handful in each of two threads at each kill
    with tenancy.session(tenant) as session:
        sent = set(session.scalars(select(Message.recipient).where(Message.status == "sent")))
    assert sent <= set(got)


def settled(tenancy: Tenancy, tenant: UUID) -> int:
    """Messages about which nothing is left to do."""
    return sum(number for status, number in counts(tenancy, tenant).items() if status in {"sent", "unknown"})


def test_a_worker_killed_in_the_middle_of_a_batch_leaves_one_window_unknown_and_sends_the_rest(
    engine: Engine, tenancy: Tenancy, tenant: UUID, smtp: HoldingSmtpDouble
) -> None:
    with tenancy.session(tenant) as session:
        session.add_all(
            Recipient(tenant_id=tenant, id=new_id(), external_id=f"u{n}", email=f"u{n}@example.com")
            for n in range(3 * WINDOW)
        )
    url = {"SMTP_URL": f"smtp://127.0.0.1:{smtp.port}?timeout=60"}
    smtp.script["data"] = "hold"
    engine.dispatcher()
    first = engine.worker("notifications", pool="threads", name="first", **url)
    payload = {"name": "News", "subject": "Hi", "text": "Hi", "audience": {}, "category": "news"}
    submit(tenancy, NewJob("notification.broadcast", payload, system("test", tenant)))
    assert smtp.held.wait(90)
    engine.kill(first)
    smtp.script.clear()
    engine.worker("notifications", pool="threads", name="second", **url)
    until(lambda: settled(tenancy, tenant) == 3 * WINDOW, 120, "all messages")
    assert counts(tenancy, tenant) == {"unknown": WINDOW, "sent": 2 * WINDOW}
    assert len({envelope.rcpt_tos[0] for envelope in smtp.received}) == len(smtp.received) == 2 * WINDOW

"""`payment.refund`, and what Stripe says of refunds later: money goes back once, and what did not arrive is not credited."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from bench.engine import until
from domain.errors import Permanent, Transient
from domain.ids import new_id
from jobs.context import JobContext
from models.tenant import CreditNote, Invoice
from tasks.billing.collecting import collect
from tasks.billing.refunds import refund
from tasks.webhooks import process
from tests.contracts.stripe_double import StripeDouble
from tests.integration.tasks.billing.conftest import event_job
from tests.locks import waiting

OpenJob = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Credit:
    """A paid invoice, a credit note of which is to be refunded."""

    open_job: OpenJob
    context: JobContext
    invoice_id: UUID
    note_id: UUID

    def refund(self) -> Any:
        """Run the job."""
        return refund(*self.open_job("payment.refund", {"credit_note_id": str(self.note_id)}))

    def hear(self, event: dict[str, Any]) -> Any:
        """Take in what Stripe says."""
        return process(*event_job(self.open_job, event))

    def state(self) -> tuple[str, int]:
        """Of the note, and how much is credited to the invoice."""
        with self.context.session() as session:
            invoice = session.get_one(Invoice, (self.context.tenant_id, self.invoice_id))
            return session.get_one(CreditNote, (self.context.tenant_id, self.note_id)).state, invoice.credited


@pytest.fixture
def credit(open_job: OpenJob, owed: Callable[..., UUID]) -> Callable[..., Credit]:
    """Makes one, as collecting and the API write it."""

    def make(amount: int = 500, age: timedelta = timedelta(0)) -> Credit:
        invoice_id = owed()
        context, payload = open_job("payment.collect", {"invoice_id": str(invoice_id)})
        collect(context, payload)
        with context.session() as session:
            note = CreditNote(tenant_id=context.tenant_id, id=new_id(), number=1, invoice_id=invoice_id, amount=amount,
                              currency="EUR", reason="Outage", kind="refund", state="pending",
                              created_at=datetime.now(UTC) - age)  # fmt: skip
            session.add(note)
            session.execute(update(Invoice).where(Invoice.id == invoice_id).values(credited=Invoice.credited + amount))
            session.flush()
            return Credit(open_job, context, invoice_id, note.id)

    return make


def failed(stripe: StripeDouble, key: str | None) -> dict[str, Any]:
    """What Stripe says of a refund with that key that did not arrive."""
    metadata = None if key is None else {"key": key}
    return stripe.happened("refund.failed", stripe.make("re", "refund", status="failed", metadata=metadata))


def test_a_refund_is_given_back_once(credit: Callable[..., Credit], stripe: StripeDouble) -> None:
    given = credit()
    assert [given.refund(), given.refund()] == [{"state": "done"}] * 2
    assert [each["amount"] for each in stripe.made("refund")] == [500]
    assert given.state() == ("done", 500)


def test_a_refund_whose_record_was_lost_is_done_though_its_webhook_was_faster(
    credit: Callable[..., Credit], stripe: StripeDouble
) -> None:
    given = credit(2900)
    (intent,) = stripe.succeeded()
    charge = stripe.make("ch", "charge", payment_intent=intent["id"], amount=2900, currency="eur", refunded=True)
    given.hear(stripe.happened("charge.refunded", charge))
    assert given.refund() == {"state": "done"}


def test_a_refund_whose_answer_was_lost_for_a_day_is_looked_for_and_not_made_again(
    credit: Callable[..., Credit], stripe: StripeDouble
) -> None:
    given = credit(age=timedelta(days=2))
    stripe.refund_script.append("act_then_hang_up")
    with pytest.raises(Transient):
        given.refund()
    stripe.answers.clear()  # as Stripe forgets keys after a day

    assert given.refund() == {"state": "done"}
    assert len(stripe.made("refund")) == 1


def test_a_refund_that_is_refused_can_be_credited_in_another_way(
    credit: Callable[..., Credit], stripe: StripeDouble
) -> None:
    given = credit()
    stripe.refund_script.append("refuse")
    with pytest.raises(Permanent):
        given.refund()
    assert given.refund() == {"state": "failed"}
    assert given.state() == ("failed", 0)


# --- refunds that fail later


@pytest.mark.parametrize("order", list(itertools.permutations(["answer", "made", "failed", "failed again"])))
def test_a_refund_that_does_not_arrive_takes_nothing_off_the_invoice_in_whatever_order_that_is_heard(
    credit: Callable[..., Credit], stripe: StripeDouble, order: tuple[str, ...]
) -> None:
    given = credit()
    stripe.refund_script.append("act_then_hang_up")
    with pytest.raises(Transient):
        given.refund()
    (made,) = stripe.made("refund")
    for step in order:
        made["status"] = "failed" if step.startswith("failed") else "succeeded"  # what is read again at Stripe
        if step == "answer":
            given.refund()
        else:
            heard = given.hear(stripe.happened("refund.updated" if step == "made" else "refund.failed", {**made}))
            assert heard["handled"] is (step != "made")
    assert given.state() == ("failed", 0)
    assert len(stripe.made("refund")) == 1


def test_the_failure_and_the_record_of_the_answer_meet_at_the_note(
    credit: Callable[..., Credit], stripe: StripeDouble
) -> None:
    """Both wait for the row. Whichever has it first, the refund has failed, and the invoice gets its amount back once."""
    given = credit()
    stripe.refund_script.append("act_then_hang_up")
    with pytest.raises(Transient):
        given.refund()
    (made,) = stripe.made("refund")
    made["status"] = "failed"
    event = stripe.happened("refund.failed", {**made})
    with ThreadPoolExecutor(3) as both, given.context.session() as session:
        session.get_one(CreditNote, (given.context.tenant_id, given.note_id), with_for_update=True)
        runs = [both.submit(given.refund), both.submit(given.hear, event), both.submit(given.hear, event)]
        until(lambda: waiting(session) >= 2, 10, "both at the row")
        session.rollback()
        for run in runs:
            run.result(20)
    assert given.state() == ("failed", 0)


@pytest.mark.parametrize("key", [None, "credit_note:", "credit_note:x", "order:7", f"credit_note:{UUID(int=7)}"])
def test_a_failed_refund_that_is_none_of_ours_changes_nothing(
    credit: Callable[..., Credit], stripe: StripeDouble, key: str | None
) -> None:
    given = credit()
    assert given.hear(failed(stripe, key))["handled"] is False
    assert given.state() == ("pending", 500)


def test_a_failed_refund_is_not_that_which_settled_the_note(
    credit: Callable[..., Credit], stripe: StripeDouble
) -> None:
    given = credit()
    given.refund()
    given.hear(failed(stripe, f"credit_note:{given.note_id}"))
    assert given.state() == ("done", 500)


def test_an_event_of_one_tenant_says_nothing_of_anothers_credit_note(
    credit: Callable[..., Credit],
    stripe: StripeDouble,
    make_tenant: Callable[..., UUID],
    make_context: Callable[..., Any],
    under: Callable[..., JobContext],
) -> None:
    given = credit()
    event = failed(stripe, f"credit_note:{given.note_id}")
    context, payload = make_context("webhook.process", make_tenant("pooled"), {"source": "stripe", "event": event})
    settings = given.context.settings
    there = under(context, stripe_api_key=settings.stripe_api_key, stripe_api_base=settings.stripe_api_base)
    assert process(there, payload)["handled"] is False
    assert given.state() == ("pending", 500)

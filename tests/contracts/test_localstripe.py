"""Our Stripe provider against localstripe, whose idea of Stripe's API is not ours: it is strict about what it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import Permanent, Transient
from domain.ids import new_id
from providers.payments import ChargeRequest, RefundRequest
from providers.payments.stripe import StripePaymentProvider
from tests.contracts.localstripe_proxy import Proxy, localstripe

pytest.importorskip("localstripe", reason="a development dependency that is not installed here")


@pytest.fixture(scope="module")
def running() -> Iterator[Proxy]:
    with localstripe() as proxy:
        yield proxy


@pytest.fixture
def proxy(running: Proxy) -> Iterator[Proxy]:
    running.forwarded.clear()
    yield running
    running.cut = 0


@pytest.fixture
def provider(proxy: Proxy) -> StripePaymentProvider:
    return StripePaymentProvider(api_key="sk_test_12345", api_base=proxy.url, timeout=60)


def key() -> str:
    return f"test:{new_id()}"


def request_for(provider: StripePaymentProvider, card: str = "pm_card_visa") -> ChargeRequest:
    customer = provider.create_customer("Ada", "ada@example.com", {"tenant_id": str(new_id())}, key())
    method = provider.attach(customer, card, key())
    name = key()
    return ChargeRequest(2900, "EUR", customer, method.id, name, {"attempt": name, "invoice_id": str(new_id())})


def test_a_card_is_attached_and_charged(provider: StripePaymentProvider) -> None:
    wanted = request_for(provider)
    charged = provider.charge(wanted)
    assert (charged.state, charged.error_code) == ("succeeded", None)
    assert charged.id is not None
    found = provider.retrieve("payment_intent", charged.id)
    assert (found.status, found.data["amount"], found.data["currency"]) == ("succeeded", 2900, "eur")
    assert found.data["metadata"] == wanted.metadata


def test_the_card_is_told_as_a_person_recognises_it(provider: StripePaymentProvider) -> None:
    customer = provider.create_customer("Ada", "ada@example.com", {}, key())
    method = provider.attach(customer, "pm_card_visa", key())
    assert (method.brand, method.last4) == ("visa", "4242")
    provider.detach(method.id, key())


def test_the_same_key_is_the_same_payment(provider: StripePaymentProvider, proxy: Proxy) -> None:
    wanted = request_for(provider)
    assert provider.charge(wanted) == provider.charge(wanted)
    assert proxy.forwarded.count("POST /v1/payment_intents") == 1


def test_the_same_key_with_another_amount_is_refused(provider: StripePaymentProvider) -> None:
    wanted = request_for(provider)
    provider.charge(wanted)
    with pytest.raises(Permanent):
        provider.charge(replace(wanted, amount=1))


def test_an_answer_that_is_lost_is_asked_for_again_and_money_moves_once(
    provider: StripePaymentProvider, proxy: Proxy
) -> None:
    wanted = request_for(provider)
    proxy.cut = 1
    with pytest.raises(Transient):
        provider.charge(wanted)
    assert provider.charge(wanted).state == "succeeded"
    assert proxy.forwarded.count("POST /v1/payment_intents") == 1


def test_a_refused_card_is_a_result(provider: StripePaymentProvider) -> None:
    charged = provider.charge(request_for(provider, "pm_card_chargeCustomerFail"))
    assert (charged.state, charged.error_code) == ("failed", "card_declined")


def test_money_is_given_back_once(provider: StripePaymentProvider, proxy: Proxy) -> None:
    charged = provider.charge(request_for(provider))
    assert charged.id is not None
    request = RefundRequest(charged.id, 900, "EUR", key(), {"tenant_id": str(new_id())})
    assert provider.refund(request) == provider.refund(request)
    assert proxy.forwarded.count("POST /v1/refunds") == 1


def test_a_card_can_be_set_up_for_later(provider: StripePaymentProvider) -> None:
    customer = provider.create_customer("Ada", "ada@example.com", {}, key())
    assert provider.set_up(customer, key()).startswith("seti_")


def test_the_list_of_events_tells_of_the_payment(provider: StripePaymentProvider) -> None:
    charged = provider.charge(request_for(provider))
    told = [
        event["data"]["object"]["id"]
        for event in provider.events(datetime.now(UTC) - timedelta(minutes=10))
        if event["type"] == "payment_intent.succeeded"
    ]
    assert told.count(charged.id) == 1

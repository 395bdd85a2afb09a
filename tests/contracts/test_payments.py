"""Payment providers: one contract, Stripe's failures, and which provider a name leads to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_httpserver import HTTPServer

from config.settings import Settings
from domain.errors import JobError, Permanent, RateLimited, Transient
from providers.payments import PaymentProvider, payment_provider
from providers.payments.stripe import StripePaymentProvider

KEY = "sk_test_0123456789"
INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1234,
    "currency": "eur",
    "livemode": False,
    "status": "succeeded",
    "metadata": {"invoice": "inv_1"},
    "items": [{"id": "x"}],
}
CUSTOMER = {"id": "cus_1", "object": "customer", "livemode": True, "name": "Ada"}


def url_of(server: HTTPServer) -> str:
    return server.url_for("").rstrip("/")


def stripe(url: str, timeout: float = 5.0) -> StripePaymentProvider:
    return StripePaymentProvider(api_key=KEY, api_base=url, timeout=timeout)


def failing(provider: PaymentProvider, object_type: str = "payment_intent", object_id: str = "pi_1") -> JobError:
    with pytest.raises(JobError) as raised:
        provider.retrieve(object_type, object_id)
    assert KEY not in raised.value.detail
    return raised.value


# --- the contract


@pytest.fixture(params=["stripe", "sandbox"])
def provider(
    request: pytest.FixtureRequest, httpserver: HTTPServer, settings: Callable[..., Settings]
) -> PaymentProvider:
    if request.param == "sandbox":
        return payment_provider(settings(), "sandbox")
    httpserver.expect_request("/v1/payment_intents/pi_1", method="GET").respond_with_json(INTENT)
    httpserver.expect_request("/v1/customers/cus_1", method="GET").respond_with_json(CUSTOMER)
    return payment_provider(settings(STRIPE_API_KEY=KEY, STRIPE_API_BASE=url_of(httpserver)), "stripe")


def test_an_object_says_what_it_is_and_who_holds_it(provider: PaymentProvider) -> None:
    found = provider.retrieve("payment_intent", "pi_1")

    assert (found.provider, found.object_type, found.id) == (provider.name, "payment_intent", "pi_1")
    assert found.status == "succeeded"
    assert found.livemode is False
    assert (found.data["id"], found.data["object"]) == ("pi_1", "payment_intent")


def test_an_object_without_a_status_has_none(provider: PaymentProvider) -> None:
    assert provider.retrieve("customer", "cus_1").status is None


def test_reading_again_reads_the_same(provider: PaymentProvider) -> None:
    assert provider.retrieve("payment_intent", "pi_1") == provider.retrieve("payment_intent", "pi_1")


def test_only_the_sandbox_calls_itself_one(provider: PaymentProvider) -> None:
    assert provider.retrieve("payment_intent", "pi_1").sandbox == (provider.name == "sandbox")


def test_a_type_that_nobody_reads_is_permanent(provider: PaymentProvider) -> None:
    error = failing(provider, "unicorn", "u_1")

    assert type(error) is Permanent
    assert error.job_code == "object_type_unknown"


# --- Stripe


def test_stripes_object_is_passed_on_whole(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/payment_intents/pi_1").respond_with_json(INTENT)

    found = stripe(url_of(httpserver)).retrieve("payment_intent", "pi_1")

    assert found.data == INTENT
    assert type(found.data["metadata"]) is dict


@pytest.mark.parametrize(
    ("object_type", "path"),
    [
        ("charge", "/v1/charges/x_1"),
        ("checkout.session", "/v1/checkout/sessions/x_1"),
        ("credit_note", "/v1/credit_notes/x_1"),
        ("customer", "/v1/customers/x_1"),
        ("dispute", "/v1/disputes/x_1"),
        ("event", "/v1/events/x_1"),
        ("invoice", "/v1/invoices/x_1"),
        ("payment_intent", "/v1/payment_intents/x_1"),
        ("payment_method", "/v1/payment_methods/x_1"),
        ("price", "/v1/prices/x_1"),
        ("product", "/v1/products/x_1"),
        ("refund", "/v1/refunds/x_1"),
        ("setup_intent", "/v1/setup_intents/x_1"),
        ("subscription", "/v1/subscriptions/x_1"),
    ],
)
def test_every_type_is_read_where_stripe_keeps_it(httpserver: HTTPServer, object_type: str, path: str) -> None:
    httpserver.expect_request(path, method="GET").respond_with_json({"id": "x_1", "object": object_type})

    assert stripe(url_of(httpserver)).retrieve(object_type, "x_1").data["object"] == object_type


@pytest.mark.parametrize("object_id", ["", "../customers", "a/b", "a b", "a?expand=1", "ü"])
def test_an_id_that_stripe_never_made_is_not_sent(httpserver: HTTPServer, object_id: str) -> None:
    assert failing(stripe(url_of(httpserver)), object_id=object_id).job_code == "provider_rejected"
    assert httpserver.log == []


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, Permanent, "provider_rejected"),
        (401, Permanent, "provider_unauthorized"),
        (402, Permanent, "provider_rejected"),
        (403, Permanent, "provider_unauthorized"),
        (404, Permanent, "object_not_found"),
        (409, Transient, "provider_unavailable"),
        (429, RateLimited, "provider_rate_limited"),
        (500, Transient, "provider_unavailable"),
        (503, Transient, "provider_unavailable"),
    ],
)
def test_stripes_status_decides_whether_to_repeat(
    httpserver: HTTPServer, status: int, kind: type[JobError], code: str
) -> None:
    body = {"error": {"type": "invalid_request_error", "message": f"No, {KEY}"}}
    httpserver.expect_request("/v1/payment_intents/pi_1").respond_with_json(body, status=status)

    error = failing(stripe(url_of(httpserver)))

    assert type(error) is kind
    assert error.job_code == code
    assert len(httpserver.log) == 1


def test_stripes_rate_limit_is_retried_after_the_wait_it_asks_for(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/payment_intents/pi_1").respond_with_json(
        {"error": {"type": "rate_limit"}}, status=429, headers={"Retry-After": "9"}
    )

    assert failing(stripe(url_of(httpserver))).retry_after == 9.0


@pytest.mark.parametrize("content", ["", "{", "<html>", "[]", "null", "{}", '{"id": "pi_2"}', '{"id": 5}'])
def test_an_answer_that_is_not_the_object_may_be_better_later(httpserver: HTTPServer, content: str) -> None:
    httpserver.expect_request("/v1/payment_intents/pi_1").respond_with_data(content, content_type="application/json")

    error = failing(stripe(url_of(httpserver)))

    assert type(error) is Transient
    assert error.job_code == "provider_malformed_response"


def test_stripes_silence_may_end(silent_server: str) -> None:
    assert failing(stripe(silent_server, timeout=0.2)).job_code == "provider_unreachable"


def test_a_reset_connection_to_stripe_may_work_later(resetting_server: str) -> None:
    error = failing(stripe(resetting_server))

    assert type(error) is Transient
    assert error.job_code == "provider_unreachable"


# --- registry


def test_paypal_says_that_it_is_a_placeholder(settings: Callable[..., Settings]) -> None:
    paypal = payment_provider(settings(), "paypal")

    error = failing(paypal)

    assert (paypal.name, type(error), error.job_code) == ("paypal", Permanent, "provider_not_supported")
    assert "placeholder" in error.detail


def test_without_a_key_development_has_the_sandbox(settings: Callable[..., Settings]) -> None:
    assert payment_provider(settings(), "stripe").name == "sandbox"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("stripe", "provider_not_configured"),
        ("sandbox", "provider_not_supported"),
        ("bitcoin", "provider_not_supported"),
    ],
)
def test_what_production_has_not_is_an_error(settings: Callable[..., Settings], name: str, code: str) -> None:
    production = settings().model_copy(update={"environment": "production"})

    with pytest.raises(Permanent) as raised:
        payment_provider(production, name)

    assert raised.value.job_code == code

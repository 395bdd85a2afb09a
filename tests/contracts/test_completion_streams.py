"""Streams and embeddings of every vendor, through the real SDKs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from domain.errors import Cancelled, JobError, Permanent, RateLimited, Transient
from providers.llm.accounts import Account, Clients
from providers.llm.base import CompletionProvider, CompletionRequest, EmbeddingRequest, Interrupted, Message, Reach
from tests.contracts.completion_doubles import KEY, VENDORS, Vendor
from tests.contracts.llm_double import WORDS, LlmDouble, llm_double

REQUEST = CompletionRequest("some-model", (Message("user", "When does it open?"),), 64, "job-1", timeout=20.0)
TEXT = "".join(WORDS)


@pytest.fixture
def double() -> Iterator[LlmDouble]:
    with llm_double() as running:
        yield running


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def provider(request: pytest.FixtureRequest, double: LlmDouble) -> Iterator[CompletionProvider]:
    vendor: Vendor = request.param
    made = vendor.provider(double.url)
    yield made
    made.close()


def test_a_stream_says_what_the_whole_answer_says_and_counts_alike(
    provider: CompletionProvider, double: LlmDouble
) -> None:
    heard: list[str] = []

    streamed = provider.stream(REQUEST, heard.append)

    assert heard == list(WORDS)
    assert streamed == provider.complete(REQUEST)
    usage = streamed.usage
    assert double.served == [(usage.input_tokens, usage.cached_input_tokens, usage.output_tokens)] * 2
    assert usage.source == "reported"


def test_an_answer_that_breaks_off_is_no_answer_and_tells_how_far_it_came(
    provider: CompletionProvider, double: LlmDouble
) -> None:
    double.script = ["cut"]
    heard: list[str] = []

    with pytest.raises(Interrupted) as raised:
        provider.stream(REQUEST, heard.append)

    assert raised.value.job_code == "provider_stream_cut"
    assert heard == list(WORDS[:3])
    assert raised.value.partial.text == "".join(WORDS[:3])
    assert raised.value.partial.usage.source == "estimated"


def test_a_stream_that_fails_before_its_first_word_is_an_ordinary_failure(
    provider: CompletionProvider, double: LlmDouble
) -> None:
    double.script = ["529"]

    with pytest.raises(Transient) as raised:
        provider.stream(REQUEST, lambda _: None)

    assert not isinstance(raised.value, Interrupted)
    assert raised.value.job_code == "provider_unavailable"


@pytest.mark.parametrize(
    ("step", "kind", "code", "wait"),
    [
        ("429", RateLimited, "provider_rate_limited", None),
        ("429-after", RateLimited, "provider_rate_limited", 7.0),
        ("529", Transient, "provider_unavailable", None),
        ("401", Permanent, "provider_unauthorized", None),
        ("spent", Permanent, "provider_quota_exhausted", None),
        ("too-long", Permanent, "context_window_exceeded", None),
        ("no-model", Permanent, "model_not_found", None),
    ],
)
def test_each_refusal_has_its_meaning_and_is_asked_once(
    provider: CompletionProvider, double: LlmDouble, step: str, kind: type[JobError], code: str, wait: float | None
) -> None:
    for asked in (lambda: provider.complete(REQUEST), lambda: provider.stream(REQUEST, lambda _: None)):
        double.script, double.requests = [step], []
        with pytest.raises(kind) as raised:
            asked()
        assert (raised.value.job_code, raised.value.retry_after) == (code, wait)
        assert len(double.requests) == 1


def test_a_listener_that_has_had_enough_ends_the_call(provider: CompletionProvider) -> None:
    def enough(_: str) -> None:
        raise Cancelled("enough")

    with pytest.raises(Interrupted) as raised:
        provider.stream(REQUEST, enough)

    assert isinstance(raised.value.cause, Cancelled)


def test_a_stream_is_bounded_as_a_whole_however_lively_it_is(provider: CompletionProvider, double: LlmDouble) -> None:
    double.pause = 0.2

    with pytest.raises(Interrupted) as raised:
        provider.stream(replace(REQUEST, timeout=0.7), lambda _: None)

    assert raised.value.job_code == "provider_timeout"


def test_vectors_come_in_the_order_of_their_texts(double: LlmDouble) -> None:
    provider = VENDORS[0].provider(double.url)

    answer = provider.embed(EmbeddingRequest("text-embedding-3-small", ("a", "bbb", "cc")))

    assert answer.vectors == ((1.0, 1.0), (3.0, 1.0), (2.0, 1.0))
    assert (answer.usage.input_tokens, answer.usage.source) == (3, "reported")
    provider.close()


def test_anthropic_has_no_embeddings(double: LlmDouble) -> None:
    provider = VENDORS[2].provider(double.url)
    with pytest.raises(Permanent) as raised:
        provider.embed(EmbeddingRequest("claude", ("a",)))
    assert raised.value.job_code == "provider_not_supported"
    provider.close()


def test_connections_are_kept_between_calls(provider: CompletionProvider, double: LlmDouble) -> None:
    for _ in range(5):
        provider.complete(REQUEST)

    transport = provider._client._client._transport  # type: ignore[attr-defined]
    assert len(transport._idle) == 1


def test_a_tenants_server_on_a_private_address_is_not_reached(double: LlmDouble) -> None:
    clients = Clients()
    refused = clients.get(Account("openai_compatible", KEY, f"{double.url}/v1", Reach(judged=True)))

    with pytest.raises(Permanent) as raised:
        refused.complete(REQUEST)

    assert raised.value.job_code == "address_refused"
    assert double.requests == []


def test_an_operator_may_allow_it(double: LlmDouble) -> None:
    from ipaddress import ip_network

    reach = Reach(judged=True, allowed=(ip_network("127.0.0.0/8"),))
    provider = Clients().get(Account("openai_compatible", KEY, f"{double.url}/v1", reach))

    assert provider.complete(REQUEST).text == TEXT


def test_one_client_serves_an_account_and_those_unused_for_longest_are_closed() -> None:
    clients = Clients(kept=2)
    accounts = [Account("openai", f"sk-{number}") for number in range(3)]
    first = clients.get(accounts[0])

    assert clients.get(Account("openai", "sk-0")) is first
    clients.get(accounts[1])
    clients.get(accounts[2])
    assert len(clients) == 2
    assert clients.get(accounts[0]) is not first
    assert "sk-0" not in repr(accounts[0])

"""Who serves a completion, on whose account, and who comes next."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.completions.config import LlmConfig, read_config
from domain.completions.routing import DEFAULT_MODELS, EMBEDDING_MODELS, Route, Target, next_may_serve, routes
from domain.errors import JobError, NotNow, Permanent, RateLimited, Transient

NEXUS = Target("nexus")
OWN = Target("openai", api_key="sk-own")


def chosen(
    targets: Sequence[Target], model: str | None = None, keys: Sequence[str] = (), *, sandbox: bool = False
) -> list[tuple[str, str, str]]:
    found = routes(targets, model, platform_keys=keys, allow_sandbox=sandbox)
    return [(each.provider, each.model, each.key_source) for each in found]


@pytest.mark.parametrize(
    ("model", "keys", "expected"),
    [
        (None, ["openai", "anthropic"], ("openai", DEFAULT_MODELS["openai"], "platform")),
        (None, ["anthropic"], ("anthropic", DEFAULT_MODELS["anthropic"], "platform")),
        ("gpt-5", ["openai"], ("openai", "gpt-5", "platform")),
        ("claude-haiku-4-5", ["openai", "anthropic"], ("anthropic", "claude-haiku-4-5", "platform")),
        ("claude-haiku-4-5", ["openai"], ("openai", "claude-haiku-4-5", "platform")),
    ],
)
def test_the_platforms_keys_serve_who_chose_the_platform(
    model: str | None, keys: list[str], expected: tuple[str, str, str]
) -> None:
    assert chosen([NEXUS], model, keys, sandbox=True) == [expected]


def test_without_a_key_development_has_its_sandbox() -> None:
    assert chosen([NEXUS], sandbox=True) == [("sandbox", "sandbox", "sandbox")]


def test_without_a_key_production_refuses() -> None:
    with pytest.raises(Permanent) as raised:
        chosen([NEXUS])

    assert raised.value.job_code == "llm_not_configured"


@pytest.mark.parametrize("choice", ["openai", "anthropic"])
def test_a_tenants_own_key_serves_who_chose_it(choice: str) -> None:
    assert chosen([Target(choice, api_key="sk-own")], None, ["openai", "anthropic"], sandbox=True) == [
        (choice, DEFAULT_MODELS[choice], "tenant")
    ]


def test_targets_are_tried_in_their_order_and_each_serves_its_own_model() -> None:
    targets = [
        OWN,
        Target("anthropic", model="claude-sonnet-4-5", api_key="sk-ant"),
        Target("openai_compatible", model="llama", base_url="https://llm.example.com/v1"),
        NEXUS,
    ]

    assert chosen(targets, "gpt-5", ["openai"]) == [
        ("openai", "gpt-5", "tenant"),
        ("anthropic", "claude-sonnet-4-5", "tenant"),
        ("openai_compatible", "llama", "tenant"),
        ("openai", DEFAULT_MODELS["openai"], "platform"),
    ]


def test_a_target_that_lacks_something_is_passed_over() -> None:
    assert chosen(
        [Target("openai"), Target("openai_compatible", base_url="https://x.example"), NEXUS], None, ["openai"]
    ) == [("openai", DEFAULT_MODELS["openai"], "platform")]


_TARGETS = st.builds(
    Target,
    provider=st.sampled_from(["openai", "anthropic", "openai_compatible", "sandbox", ""]),
    model=st.none() | st.just("m"),
    base_url=st.none() | st.just("https://llm.example.com"),
    api_key=st.none() | st.just("k"),
)


@given(
    st.lists(_TARGETS, min_size=1, max_size=4),
    st.none() | st.just("gpt-5"),
    st.sets(st.sampled_from(["openai", "anthropic"])),
    st.booleans(),
)
def test_without_the_tenants_leave_the_platforms_keys_are_never_used(
    targets: list[Target], model: str | None, keys: set[str], allow_sandbox: bool
) -> None:
    found: tuple[Route, ...] = ()
    with suppress(Permanent):
        found = routes(targets, model, platform_keys=keys, allow_sandbox=allow_sandbox)
    assert {each.key_source for each in found} <= {"tenant"}


def test_embeddings_go_where_there_are_some() -> None:
    found = routes(
        [Target("anthropic", api_key="k"), OWN], None, platform_keys=[], allow_sandbox=False, defaults=EMBEDDING_MODELS
    )

    assert [each.provider for each in found] == ["openai"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Transient("", code="provider_timeout"), True),
        (RateLimited(""), True),
        (Permanent("", code="provider_unauthorized"), True),
        (Permanent("", code="provider_quota_exhausted"), True),
        (Permanent("", code="model_not_found"), True),
        (Permanent("", code="provider_rejected"), False),
        (Permanent("", code="context_window_exceeded"), False),
    ],
)
def test_what_is_wrong_with_the_target_is_worth_another_and_what_is_wrong_with_the_request_is_not(
    error: JobError, expected: bool
) -> None:
    assert next_may_serve(error) is expected
    assert isinstance(error, JobError)
    assert not isinstance(error, NotNow)


def test_a_configuration_is_read_as_it_was_kept() -> None:
    config = LlmConfig((Target("openai_compatible", "llama", "https://x.example", "k"), NEXUS), 60, 100_000)

    assert read_config(config.kept(), "nexus", None) == config


def test_what_an_older_version_kept_is_one_target() -> None:
    assert read_config({}, "openai", "sk") == LlmConfig((Target("openai", api_key="sk"),))
    assert read_config({}, "nexus", None) == LlmConfig()


def test_a_route_shows_no_key() -> None:
    assert "sk-own" not in repr(Route("openai", "m", "tenant", OWN))

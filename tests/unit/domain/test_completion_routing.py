"""Who serves a completion, and on whose account."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.completions.routing import DEFAULT_MODELS, Route, route
from domain.errors import Permanent


@pytest.mark.parametrize(
    ("model", "keys", "expected"),
    [
        (None, ["openai", "anthropic"], Route("openai", DEFAULT_MODELS["openai"], "platform")),
        (None, ["anthropic"], Route("anthropic", DEFAULT_MODELS["anthropic"], "platform")),
        ("gpt-5", ["openai"], Route("openai", "gpt-5", "platform")),
        ("claude-haiku-4-5", ["openai", "anthropic"], Route("anthropic", "claude-haiku-4-5", "platform")),
        ("claude-haiku-4-5", ["openai"], Route("openai", "claude-haiku-4-5", "platform")),
    ],
)
def test_the_platforms_keys_serve_who_chose_the_platform(model: str | None, keys: list[str], expected: Route) -> None:
    assert route("nexus", model, tenant_has_key=True, platform_keys=keys, allow_sandbox=True) == expected


def test_without_a_key_development_has_its_sandbox() -> None:
    served = route("nexus", None, tenant_has_key=False, platform_keys=[], allow_sandbox=True)

    assert (served.provider, served.key_source) == ("sandbox", "sandbox")


def test_without_a_key_production_refuses() -> None:
    with pytest.raises(Permanent) as raised:
        route("nexus", None, tenant_has_key=False, platform_keys=[], allow_sandbox=False)

    assert raised.value.job_code == "llm_not_configured"


@pytest.mark.parametrize("choice", ["openai", "anthropic"])
def test_a_tenants_own_key_serves_who_chose_it(choice: str) -> None:
    served = route(choice, None, tenant_has_key=True, platform_keys=["openai", "anthropic"], allow_sandbox=True)

    assert served == Route(choice, DEFAULT_MODELS[choice], "tenant")


@given(
    st.sampled_from(["openai", "anthropic", "sandbox", "", "openai_compatible"]),
    st.sets(st.sampled_from(["openai", "anthropic"])),
    st.booleans(),
)
def test_a_tenant_that_chose_its_own_key_is_never_served_on_the_platforms(
    choice: str, keys: set[str], allow_sandbox: bool
) -> None:
    with pytest.raises(Permanent) as raised:
        route(choice, None, tenant_has_key=False, platform_keys=keys, allow_sandbox=allow_sandbox)

    assert raised.value.job_code == "llm_not_configured"

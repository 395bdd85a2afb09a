"""Calling a language model: the tenant's targets one after another, each call opened in the ledger before and closed after."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from config.settings import Settings
from domain.completions.budgets import most_tokens
from domain.completions.catalog import context_window
from domain.completions.config import LlmConfig, read_config
from domain.completions.prices import OwnPrice
from domain.completions.routing import DEFAULT_MODELS, Route, next_may_serve
from domain.destinations import parse_networks
from domain.errors import JobError, Permanent
from jobs.context import JobContext
from providers.llm import Account, CompletionProvider, Interrupted, Reach, Usage, completion_provider, cost_micros
from providers.llm.tokens import estimated_tokens, least_tokens
from tasks.ledger import Expected, close_call, open_call
from tasks.own_prices import own_price

LONGEST_CALL = 300.0
"""Seconds."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Asked(Generic[Answer]):
    """What is asked of a model, whoever serves it.

    `texts` is all that the model reads and `max_tokens` the most that it answers. `call` asks a provider, on a route, within so
    many seconds. `told` gives an answer's own fields of the call log, `usage` the model that answered and its count, and `ttft_ms`
    the time to the first piece of the stream of the latest call.
    """

    operation: str
    texts: Sequence[str]
    max_tokens: int
    call: Callable[[CompletionProvider, Route, float], Answer]
    told: Callable[[Answer], dict[str, Any]]
    usage: Callable[[Answer], tuple[str, Usage]]
    ttft_ms: Callable[[], int | None] = lambda: None


@dataclass(frozen=True, slots=True)
class Served(Generic[Answer]):
    """An answer, who gave it in place of whom, and what it cost in millionths of a US dollar, if that is known."""

    answer: Answer
    route: Route
    fallback_from: str | None
    cost_micros: int | None


def serve(context: JobContext, routes: Sequence[Route], asked: Asked[Answer]) -> Served[Answer]:
    """The answer of the first target that gives one.

    Raises what the ledger refuses with, and the providers' errors: the first that is worth a retry, else the last. A target
    that broke off in the middle of a stream is the last that is tried: the client has seen its words.
    """
    config = tenant_config(context)
    before: str | None = None
    errors: list[JobError] = []
    for route in routes:
        context.check()
        _refuse_too_long(route, asked)
        price = own_price(context, route.provider, route.model) if route.key_source == "tenant" else None
        call_id = open_call(context, _expected(config, route, asked, price, before))
        clock = _Clock(asked.ttft_ms)
        try:
            answer = asked.call(completion_provider(_account(context, route)), route, _seconds_left(context))
        except Interrupted as error:
            close_call(context, call_id, **clock.told(), **_partly(route, error, price))
            raise error.cause from error
        except JobError as error:
            close_call(context, call_id, **clock.told(), error_code=error.job_code)
            errors.append(error)
            if not next_may_serve(error):
                break
            before = f"{route.provider}/{route.model}"
        except BaseException:
            close_call(context, call_id, **clock.told(), error_code="handler_bug")
            raise
        else:
            model, usage = asked.usage(answer)
            cost, version = _cost(route, model, usage, price)
            close_call(
                context, call_id, **clock.told(), **asked.told(answer), **_counted(usage), response_model=model,
                cost_micros=cost, price_version=version,
            )  # fmt: skip
            return Served(answer, route, before, cost)
    raise next((error for error in errors if error.retryable), errors[-1])


def tenant_config(context: JobContext) -> LlmConfig:
    """Where the tenant's completions go, and its limits."""
    tenant = context.tenant
    return read_config(tenant.llm_config, tenant.llm_provider, tenant.llm_key)


def platform_accounts(settings: Settings) -> dict[str, Account]:
    """The platform's own accounts, by provider."""
    keys = {
        "openai": (settings.openai_api_key, settings.openai_base_url),
        "anthropic": (settings.anthropic_api_key, settings.anthropic_base_url),
    }
    return {name: Account(name, key.get_secret_value(), address) for name, (key, address) in keys.items() if key}


def warm(settings: Settings) -> None:
    """Make the clients of the platform's own accounts and load the prices: a second of processor time, once per process."""
    for account in platform_accounts(settings).values():
        completion_provider(account)
        context_window(account.provider, DEFAULT_MODELS[account.provider])
        cost_micros(account.provider, DEFAULT_MODELS[account.provider], Usage(1, 0, 1, "estimated"))


def _refuse_too_long(route: Route, asked: Asked[Any]) -> None:
    """Raise `Permanent` (`context_window_exceeded`) for what surely does not fit the model: asking would cost time and a budget."""
    window = context_window(route.provider, route.model)
    if window is not None and sum(map(len, asked.texts)) > window and least_tokens(asked.texts) > window:
        said = f"The prompt does not fit {route.model}, which reads {window} tokens."
        raise Permanent(said, code="context_window_exceeded")


class _Clock:
    def __init__(self, ttft_ms: Callable[[], int | None]):
        self._started = time.monotonic()
        self._ttft_ms = ttft_ms

    def told(self) -> dict[str, int | None]:
        return {"duration_ms": round((time.monotonic() - self._started) * 1000), "ttft_ms": self._ttft_ms()}


def _account(context: JobContext, route: Route) -> Account:
    """The account that pays.

    A tenant's key at a vendor, too, goes to the address that the operator set: it says how this network reaches the vendor.
    """
    settings, target = context.settings, route.target
    if route.key_source != "tenant":
        return platform_accounts(settings).get(route.provider) or Account(route.provider)
    if route.provider == "openai_compatible":
        reach = Reach(judged=True, allowed=parse_networks(settings.llm_private_networks))
        return Account(route.provider, target.api_key or "", target.base_url, reach)
    address = {"openai": settings.openai_base_url, "anthropic": settings.anthropic_base_url}[route.provider]
    return Account(route.provider, target.api_key or "", address)


def _expected(
    config: LlmConfig, route: Route, asked: Asked[Any], price: OwnPrice | None, fallback_from: str | None
) -> Expected:
    reads, most = estimated_tokens(asked.texts), most_tokens(list(asked.texts))
    lost, version = _cost(route, route.model, Usage(reads, 0, 0, "estimated"), price)
    dearest, _ = _cost(route, route.model, Usage(most, 0, asked.max_tokens, "estimated"), price)
    return Expected(
        operation=asked.operation, provider=route.provider, model=route.model, key_source=route.key_source,
        fallback_from=fallback_from, input_tokens=reads, most_tokens=reads + asked.max_tokens, lost_micros=lost,
        most_micros=dearest, price_version=version, requests_per_minute=config.requests_per_minute,
        tokens_per_minute=config.tokens_per_minute,
    )  # fmt: skip


def _cost(route: Route, model: str, usage: Usage, price: OwnPrice | None) -> tuple[int | None, str]:
    """By the tenant's own price, else by the table's: of the model that answered, or of the one that was asked."""
    if price is not None:
        return price.cost(usage.input_tokens, usage.cached_input_tokens, usage.output_tokens), price.name
    cost, version = cost_micros(route.provider, model, usage)
    return (cost, version) if cost is not None else cost_micros(route.provider, route.model, usage)


def _counted(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens, "cached_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens, "usage_source": usage.source,
    }  # fmt: skip


def _partly(route: Route, error: Interrupted, price: OwnPrice | None) -> dict[str, Any]:
    partial = error.partial
    cost, version = _cost(route, partial.model, partial.usage, price)
    return {
        **_counted(partial.usage), "response_model": partial.model, "response_id": partial.response_id,
        "finish_reason": partial.finish_reason, "cost_micros": cost, "price_version": version, "error_code": error.job_code,
    }  # fmt: skip


def _seconds_left(context: JobContext) -> float:
    return max(0.1, min(LONGEST_CALL, context.deadline - time.monotonic()))

"""The API's `llm`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.streams import Event, completion_ended
from nexus_client.transport import Transport, segment


class Llm:
    """The operations whose path begins with `llm`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def create_completion(self, body: models.CompletionCreate, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Answer a conversation with a language model.

        Answers with the job; its result holds the text, who served it, the tokens and the cost. `Prefer: wait=30` waits for
        it. With `stream`, it answers with `text/event-stream` and the events of `GET /llm/completions/{id}/events`; a client that
        leaves changes nothing, and may come back there; with `Prefer: respond-async` it gets the job at once and reads along there. Repeating the request with the same `Idempotency-Key` answers with the
        same job.

        Needs the permission `completion:create`.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/llm/completions", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def follow_completion(self, completion_id: str, /) -> Iterator[Event]:
        """Read a completion along while it comes, or again from where the client was.

        The id of a `text` event is its place; with `Last-Event-ID`, only what is newer comes. A completion that was asked for
        without `stream` comes as a whole at its end.

        Needs the permission `completion:read`.
        """
        return self._transport.stream(f"/api/v1/llm/completions/{segment(completion_id)}/events", completion_ended)

    def create_embeddings(self, body: models.EmbeddingCreate, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Place texts in a model's space of meaning.

        Answers with the job; its result holds one vector for each text, in their order, all of one model. Many texts go in as few
        calls as the vendor allows.

        Needs the permission `completion:create`.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/llm/embeddings", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_models(self) -> models.ModelList:
        """List the models with known prices of those providers that the tenant's targets may use.

        Others can be asked for by name as well; a server of one's own tells its models itself.

        Needs the permission `completion:read`.
        """
        answer: models.ModelList = self._transport.send("GET", "/api/v1/llm/models")
        return answer

    def list_calls(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, job_id: str | None = None, provider: str | None = None, key_source: Literal["platform", "tenant", "sandbox"] | None = None) -> models.ApiCallPage:
        """List the calls of language models, one entry for each attempt, newest first unless asked otherwise.

        Needs the permission `completion:read`.
        """
        answer: models.ApiCallPage = self._transport.send("GET", "/api/v1/llm/calls", query={"limit": limit, "cursor": cursor, "sort": sort, "job_id": job_id, "provider": provider, "key_source": key_source})
        return answer

    def iterate_calls(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, job_id: str | None = None, provider: str | None = None, key_source: Literal["platform", "tenant", "sandbox"] | None = None) -> Iterator[models.ApiCall]:
        """Every item of `list_calls`, page after page."""
        return items(lambda cursor: self.list_calls(limit=limit, sort=sort, job_id=job_id, provider=provider, key_source=key_source, cursor=cursor))

    def create_budget(self, body: models.BudgetCreate, /, *, idempotency_key: str | None = None) -> models.Budget:
        """Make a budget. It counts from now on.

        A call reserves the most that it may cost before it is made, of every budget that applies to it. A call that finds a budget
        spent fails with `budget_exhausted`; one that finds it reserved by others waits. Under a budget, a model without a known
        price is refused: give it one with `POST /llm/prices`.

        Needs the permission `llm_config:update`.
        """
        answer: models.Budget = self._transport.send("POST", "/api/v1/llm/budgets", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_budgets(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.BudgetPage:
        """List the budgets with what was spent. A period without a call still shows the one before.

        Needs the permission `llm_config:read`.
        """
        answer: models.BudgetPage = self._transport.send("GET", "/api/v1/llm/budgets", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_budgets(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Budget]:
        """Every item of `list_budgets`, page after page."""
        return items(lambda cursor: self.list_budgets(limit=limit, sort=sort, cursor=cursor))

    def get_budget(self, budget_id: str, /) -> models.Budget:
        """Read a budget.

        Needs the permission `llm_config:read`.
        """
        answer: models.Budget = self._transport.send("GET", f"/api/v1/llm/budgets/{segment(budget_id)}")
        return answer

    def put_budget(self, budget_id: str, body: models.BudgetCreate, /, *, if_match: Mapping[str, Any] | str) -> models.Budget:
        """Replace a budget's definition. What was spent in the present period stays spent.

        Needs the permission `llm_config:update`.
        """
        answer: models.Budget = self._transport.send("PUT", f"/api/v1/llm/budgets/{segment(budget_id)}", body=body, if_match=if_match)
        return answer

    def delete_budget(self, budget_id: str, /) -> None:
        """Delete a budget.

        Needs the permission `llm_config:update`.
        """
        self._transport.send("DELETE", f"/api/v1/llm/budgets/{segment(budget_id)}")

    def create_price(self, body: models.PriceCreate, /, *, idempotency_key: str | None = None) -> models.Price:
        """Say what a model costs on the tenant's own key, in place of the built-in table. Calls use it within seconds.

        Needs the permission `llm_config:update`.
        """
        answer: models.Price = self._transport.send("POST", "/api/v1/llm/prices", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_prices(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.PricePage:
        """List the tenant's own prices.

        Needs the permission `llm_config:read`.
        """
        answer: models.PricePage = self._transport.send("GET", "/api/v1/llm/prices", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_prices(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Price]:
        """Every item of `list_prices`, page after page."""
        return items(lambda cursor: self.list_prices(limit=limit, sort=sort, cursor=cursor))

    def get_price(self, price_id: str, /) -> models.Price:
        """Read a price.

        Needs the permission `llm_config:read`.
        """
        answer: models.Price = self._transport.send("GET", f"/api/v1/llm/prices/{segment(price_id)}")
        return answer

    def put_price(self, price_id: str, body: models.PriceCreate, /, *, if_match: Mapping[str, Any] | str) -> models.Price:
        """Change a price. Its version grows, and what was logged keeps the price that it had.

        Needs the permission `llm_config:update`.
        """
        answer: models.Price = self._transport.send("PUT", f"/api/v1/llm/prices/{segment(price_id)}", body=body, if_match=if_match)
        return answer

    def delete_price(self, price_id: str, /) -> None:
        """Delete a price.

        Needs the permission `llm_config:update`.
        """
        self._transport.send("DELETE", f"/api/v1/llm/prices/{segment(price_id)}")

    def show_config(self) -> models.LlmConfig:
        """Read who answers the tenant's completions. Of a key it shows the last four characters.

        Needs the permission `llm_config:read`.
        """
        answer: models.LlmConfig = self._transport.send("GET", "/api/v1/llm/config")
        return answer

    def update_config(self, body: models.LlmConfigUpdate, /, *, if_match: Mapping[str, Any] | str) -> models.LlmConfig:
        """Choose who answers the tenant's completions, and who comes next when that one cannot.

        `nexus` uses the platform's keys. `openai`, `anthropic` and `openai_compatible` use the tenant's own, which are sealed; leave
        `api_key` out to keep the present one of that provider and address. The platform's keys are used only where `nexus` is named.
        Completions that begin a few seconds later use the new choice. `POST /llm/config/verify` tries it.

        Needs the permission `llm_config:update`.
        """
        answer: models.LlmConfig = self._transport.send("PUT", "/api/v1/llm/config", body=body, if_match=if_match)
        return answer

    def verify_config(self, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Ask each target a small question, to see whether its key works. The calls are paid for and logged as any other.

        Needs the permission `llm_config:update`.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/llm/config/verify", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def read_usage(self, *, from_: str | None = None, to: str | None = None, by: Literal["model", "principal"] | None = None, principal: str | None = None) -> models.Usage:
        """Total the call log by day (UTC), model and key; with `Accept: image/svg+xml`, as a picture of the costs.

        With `by=principal` it is also totalled by API key and user, and `principal` names one of them.
        Both `from` and `to` are included. Left out, it is the last 30 days; a report covers at most 366.

        Needs the permission `completion:read`.
        """
        answer: models.Usage = self._transport.send("GET", "/api/v1/llm/usage", query={"from": from_, "to": to, "by": by, "principal": principal})
        return answer

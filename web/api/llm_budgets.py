"""What bounds and prices the tenant's calls of language models: budgets, and the prices of its own keys."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.errors import Conflict, FieldError, NotFound
from models.tenant import LlmBudget, LlmPrice
from web.auth import can
from web.context import tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.idempotency import idempotent, new_resource_id
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import PageQuerySchema, Schema, page_schema
from web.schemas.llm import BudgetCreateSchema, BudgetSchema, PriceCreateSchema, PriceSchema

blueprint = Blueprint("llm_budgets", __name__, description="Language models: budgets and prices")

Model = TypeVar("Model", LlmBudget, LlmPrice)


@blueprint.route("/llm/budgets", methods=["POST"])
@can("llm_config:update")
@idempotent
@blueprint.arguments(BudgetCreateSchema)
@blueprint.response(201, BudgetSchema)
def create_budget(budget: dict[str, Any]) -> Response:
    """Make a budget. It counts from now on.

    A call reserves the most that it may cost before it is made, of every budget that applies to it. A call that finds a budget
    spent fails with `budget_exhausted`; one that finds it reserved by others waits. Under a budget, a model without a known
    price is refused: give it one with `POST /llm/prices`.
    """
    identity = new_resource_id()
    start = func.now() if budget["period"] == "total" else func.date_trunc(budget["period"], func.now(), "UTC")
    with tenancy().session(tenant_id()) as session:
        values = {**budget, "tenant_id": tenant_id(), "id": identity, "period_start": start}
        session.execute(insert(LlmBudget).values(values).on_conflict_do_nothing())
        return _shown(_get(session, LlmBudget, identity), BudgetSchema, 201)


@blueprint.route("/llm/budgets", methods=["GET"])
@can("llm_config:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(BudgetSchema))
def list_budgets(query: dict[str, Any]) -> tuple[Envelope[LlmBudget], dict[str, str]]:
    """List the budgets with what was spent. A period without a call still shows the one before."""
    return list_rows(LlmBudget, query)


@blueprint.route("/llm/budgets/<uuid:budget_id>", methods=["GET"])
@can("llm_config:read")
@blueprint.response(200, BudgetSchema)
def get_budget(budget_id: UUID) -> Response:
    """Read a budget."""
    with tenancy().session(tenant_id()) as session:
        return _shown(_get(session, LlmBudget, budget_id), BudgetSchema)


@blueprint.route("/llm/budgets/<uuid:budget_id>", methods=["PUT"])
@can("llm_config:update")
@blueprint.arguments(BudgetCreateSchema)
@blueprint.response(200, BudgetSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_budget(budget: dict[str, Any], budget_id: UUID) -> Response:
    """Replace a budget's definition. What was spent in the present period stays spent."""
    return _replace(LlmBudget, budget_id, budget, BudgetSchema)


@blueprint.route("/llm/budgets/<uuid:budget_id>", methods=["DELETE"])
@can("llm_config:update")
@blueprint.response(204, description="The budget is gone. Calls that it has bounded go on.")
def delete_budget(budget_id: UUID) -> None:
    """Delete a budget."""
    _delete(LlmBudget, budget_id)


@blueprint.route("/llm/prices", methods=["POST"])
@can("llm_config:update")
@idempotent
@blueprint.arguments(PriceCreateSchema)
@blueprint.response(201, PriceSchema)
@blueprint.alt_response(409, "CONFLICT")
def create_price(price: dict[str, Any]) -> Response:
    """Say what a model costs on the tenant's own key, in place of the built-in table. Calls use it within seconds."""
    identity = new_resource_id()
    with tenancy().session(tenant_id()) as session:
        values = {**price, "tenant_id": tenant_id(), "id": identity}
        session.execute(insert(LlmPrice).values(values).on_conflict_do_nothing())
        made = session.get(LlmPrice, (tenant_id(), identity))
        if made is None:
            fault = FieldError("/model", "taken", "Has a price already.")
            raise Conflict("There is a price for this model already.", errors=(fault,))
        return _shown(made, PriceSchema, 201)


@blueprint.route("/llm/prices", methods=["GET"])
@can("llm_config:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(PriceSchema))
def list_prices(query: dict[str, Any]) -> tuple[Envelope[LlmPrice], dict[str, str]]:
    """List the tenant's own prices."""
    return list_rows(LlmPrice, query)


@blueprint.route("/llm/prices/<uuid:price_id>", methods=["GET"])
@can("llm_config:read")
@blueprint.response(200, PriceSchema)
def get_price(price_id: UUID) -> Response:
    """Read a price."""
    with tenancy().session(tenant_id()) as session:
        return _shown(_get(session, LlmPrice, price_id), PriceSchema)


@blueprint.route("/llm/prices/<uuid:price_id>", methods=["PUT"])
@can("llm_config:update")
@blueprint.arguments(PriceCreateSchema)
@blueprint.response(200, PriceSchema)
@blueprint.alt_response(409, "CONFLICT")
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_price(price: dict[str, Any], price_id: UUID) -> Response:
    """Change a price. Its version grows, and what was logged keeps the price that it had."""
    with tenancy().session(tenant_id()) as session:
        others = select(LlmPrice.id).where(
            LlmPrice.tenant_id == tenant_id(), LlmPrice.provider == price["provider"],
            LlmPrice.model == price["model"], LlmPrice.id != price_id,
        )  # fmt: skip
        if session.scalar(others) is not None:
            raise Conflict("There is a price for this model already.")
    return _replace(LlmPrice, price_id, price, PriceSchema)


@blueprint.route("/llm/prices/<uuid:price_id>", methods=["DELETE"])
@can("llm_config:update")
@blueprint.response(204, description="The price is gone; the built-in table holds again, where it knows the model.")
def delete_price(price_id: UUID) -> None:
    """Delete a price."""
    _delete(LlmPrice, price_id)


def _replace(model: type[Model], identity: UUID, values: dict[str, Any], schema: type[Schema]) -> Response:
    with tenancy().session(tenant_id()) as session:
        row = _get(session, model, identity, to_change=True)
        check_if_match(row.version)
        for name, value in values.items():
            setattr(row, name, value)
        row.version += 1
        session.flush()
        return _shown(row, schema)


def _delete(model: type[Model], identity: UUID) -> None:
    with tenancy().session(tenant_id()) as session:
        session.delete(_get(session, model, identity, to_change=True))


def _get(session: Session, model: type[Model], identity: UUID, *, to_change: bool = False) -> Model:
    row = session.get(model, (tenant_id(), identity), with_for_update=to_change or None)
    if row is None:
        raise NotFound(f"There is no {model.__name__.removeprefix('Llm').lower()} {identity}.")
    return row


def _shown(row: LlmBudget | LlmPrice, schema: type[Schema], status: int = 200) -> Response:
    response = make_response(schema().dump(row), status)
    kind = "budgets" if isinstance(row, LlmBudget) else "prices"
    response.headers["Location"] = f"/api/v1/llm/{kind}/{row.id}"
    changing = (str(row.spent_micros), str(row.reserved_micros)) if isinstance(row, LlmBudget) else ()
    return with_etag(response, row.version, *changing)

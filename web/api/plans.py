"""What a tenant sells: plans with their charges, and the meters that these price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from flask_smorest import Blueprint
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.billing.pricing import checked_terms
from domain.errors import FieldError, InvalidPayload
from domain.ids import new_id
from models.tenant import Charge, Meter, Plan
from models.tenant.billing_reads import plan_terms
from web.auth import can
from web.bookkeeping import found, insert_once
from web.context import tenancy, tenant_id
from web.idempotency import idempotent
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.plans import MeterCreateSchema, MeterSchema, PlanCreateSchema, PlanSchema

blueprint = Blueprint("plans", __name__, url_prefix="/merchant", description="What a tenant sells to its own customers")


@blueprint.route("/plans", methods=["POST"])
@can("plan:create")
@idempotent
@blueprint.arguments(PlanCreateSchema)
@blueprint.response(201, PlanSchema)
def create_plan(plan: dict[str, Any]) -> Mapping[str, Any]:
    """Create a plan.

    Its `code` is unique in the tenant, and its prices never change: a new price is a new plan.
    """
    charges: Sequence[Mapping[str, Any]] = plan.pop("charges")
    terms = [checked_terms(each["model"], each["terms"], f"/charges/{n}/terms") for n, each in enumerate(charges)]
    with tenancy().session(tenant_id()) as session:
        meters = _meters(session, charges)
        made = insert_once(session, tenant_id(), Plan, {**plan, "currency": plan["currency"].upper()}, unique="code")
        rows = [
            {
                "tenant_id": tenant_id(), "id": new_id(), "plan_id": made.id, "meter_id": meters[each["meter"]].id,
                "name": each["name"] or meters[each["meter"]].name, "model": each["model"], "terms": kept,
            }
            for each, kept in zip(charges, terms, strict=True)
        ]  # fmt: skip
        if rows:
            session.execute(insert(Charge).on_conflict_do_nothing(), rows)
        return shown(session, tenant_id(), [made])[0]


@blueprint.route("/plans", methods=["GET"])
@can("plan:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(PlanSchema))
def list_plans(arguments: dict[str, Any]) -> tuple[Envelope[Mapping[str, Any]], dict[str, str]]:
    """List the tenant's plans, newest first unless asked otherwise."""
    page, headers = list_rows(Plan, arguments)
    with tenancy().session(tenant_id()) as session:
        return Envelope(shown(session, tenant_id(), page.items), page.next_cursor), headers


@blueprint.route("/plans/<uuid:plan_id>", methods=["GET"])
@can("plan:read")
@blueprint.response(200, PlanSchema)
def get_plan(plan_id: UUID) -> Mapping[str, Any]:
    """Read a plan with its charges."""
    with tenancy().session(tenant_id()) as session:
        return shown(session, tenant_id(), [found(session, tenant_id(), Plan, plan_id)])[0]


@blueprint.route("/meters", methods=["POST"])
@can("meter:create")
@idempotent
@blueprint.arguments(MeterCreateSchema)
@blueprint.response(201, MeterSchema)
def create_meter(meter: dict[str, Any]) -> Meter:
    """Create a meter. Its `code` is unique in the tenant; it never changes."""
    if (meter["aggregation"] == "count") != (meter["property"] is None):
        fault = FieldError("/property", "invalid", "A meter that counts has none; every other needs one.")
        raise InvalidPayload("The meter is invalid.", errors=(fault,))
    with tenancy().session(tenant_id()) as session:
        return insert_once(session, tenant_id(), Meter, meter, unique="code")


@blueprint.route("/meters", methods=["GET"])
@can("meter:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(MeterSchema))
def list_meters(arguments: dict[str, Any]) -> tuple[Envelope[Meter], dict[str, str]]:
    """List the tenant's meters, newest first unless asked otherwise."""
    return list_rows(Meter, arguments)


def shown(session: Session, seller: UUID, plans: Sequence[Plan]) -> list[Mapping[str, Any]]:
    """The plans with their charges."""
    terms = plan_terms(session, seller, [plan.id for plan in plans])
    return [
        {
            **{column.key: getattr(plan, column.key) for column in Plan.__table__.columns},
            "charges": terms[plan.id].charges,
        }
        for plan in plans
    ]


def _meters(session: Session, charges: Sequence[Mapping[str, Any]]) -> dict[str, Meter]:
    """The meters that the charges price, each once. Raises `InvalidPayload`."""
    codes = [each["meter"] for each in charges]
    known = {
        meter.code: meter
        for meter in session.scalars(select(Meter).where(Meter.tenant_id == tenant_id(), Meter.code.in_(codes)))
    }
    for number, code in enumerate(codes):
        if code not in known:
            fault = FieldError(f"/charges/{number}/meter", "not_found", f"There is no meter {code}.")
            raise InvalidPayload("The plan is invalid.", errors=(fault,))
        if code in codes[:number]:
            fault = FieldError(f"/charges/{number}/meter", "repeated", "A plan prices a meter once.")
            raise InvalidPayload("The plan is invalid.", errors=(fault,))
    return known

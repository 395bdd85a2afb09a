"""Plan and customer as they were billed: an invoice does not change with them."""

from __future__ import annotations

from typing import Any

from domain.billing.timeline import PlanTerms
from models.tenant.billing import Customer


def snapshot(plan: PlanTerms | None, customer: Customer) -> dict[str, Any]:
    """What is kept with the invoice, as JSON."""
    billed_to = {
        "id": str(customer.id),
        "name": customer.name,
        "email": customer.email,
        "timezone": customer.timezone,
    }
    if plan is None:
        return {"customer": billed_to}
    terms = {
        "id": str(plan.id),
        "code": plan.code,
        "name": plan.name,
        "amount": plan.amount,
        "currency": plan.currency,
        "interval": plan.interval,
        "interval_count": plan.interval_count,
        "pay_in_advance": plan.pay_in_advance,
        "charges": [
            {
                "id": str(charge.id),
                "code": charge.code,
                "name": charge.name,
                "model": charge.model,
                "terms": charge.terms,
            }
            for charge in plan.charges
        ],
    }
    return {"plan": terms, "customer": billed_to}

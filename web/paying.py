"""Payment methods and the portal: the same for the operator's customers and for a merchant's.

What asks the provider is a job of the caller's tenant, in the books of whoever sells.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.billing.invoices import check_action
from domain.errors import Conflict, NotFound
from jobs.submit import submit
from models.tenant import Invoice, PaymentMethod
from web.context import tenancy, tenant_id
from web.jobs_response import accepted, new_job


def list_methods(seller: UUID, customer_id: UUID) -> Mapping[str, Any]:
    """The customer's payment methods, the newest first."""
    usable = (
        select(PaymentMethod)
        .where(PaymentMethod.tenant_id == seller, PaymentMethod.customer_id == customer_id)
        .where(PaymentMethod.detached_at.is_(None))
        .order_by(PaymentMethod.id.desc())
    )
    with tenancy().session(seller) as session:
        return {"items": session.scalars(usable.limit(200)).all()}


def submit_for(kind: str, seller: UUID, payload: Mapping[str, Any]) -> Response:
    """Answer with the job that asks the provider."""
    books = {} if seller == tenant_id() else {"seller_id": str(seller)}
    return accepted(submit(tenancy(), new_job(kind, {**payload, **books})))


def collect_now(session: Session, invoice: Invoice) -> None:
    """Have the locked invoice collected. Raises `IllegalTransition`, and `Conflict` if its customer has nothing to pay with."""
    check_action("pay", invoice.state)
    usable = select(PaymentMethod.id).where(
        PaymentMethod.tenant_id == invoice.tenant_id, PaymentMethod.customer_id == invoice.customer_id,
        PaymentMethod.is_default, PaymentMethod.detached_at.is_(None),
    )  # fmt: skip
    if session.scalar(usable.limit(1)) is None:
        raise Conflict("The customer has no payment method; attach one, and what is open is collected from it.")
    invoice.collect_at = datetime.now(UTC)


def remove_method(seller: UUID, customer_id: UUID, method_id: UUID) -> None:
    """Use the payment method no more, and have the provider forget it. Raises `NotFound`."""
    with tenancy().session(seller) as session:
        method = session.get(PaymentMethod, (seller, method_id), with_for_update=True)
        if method is None or method.customer_id != customer_id or method.detached_at is not None:
            raise NotFound(f"There is no payment method {method_id}.")
        method.detached_at, method.is_default = func.now(), False
    books = {} if seller == tenant_id() else {"seller_id": str(seller)}
    submit(tenancy(), new_job("payment_method.detach", {"payment_method_id": str(method_id), **books}))

"""Numbers without gaps: taken in the transaction that uses them, from a counter that stays locked until its commit."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.tenant.invoices import CreditNoteCounter, InvoiceCounter


def invoice_numbers(session: Session, tenant_id: UUID, count: int = 1) -> int:
    """The first of the tenant's next `count` invoice numbers."""
    return _next(session, InvoiceCounter, tenant_id, count)


def credit_note_number(session: Session, tenant_id: UUID) -> int:
    """The tenant's next credit note number."""
    return _next(session, CreditNoteCounter, tenant_id, 1)


def _next(
    session: Session, counter: type[InvoiceCounter] | type[CreditNoteCounter], tenant_id: UUID, count: int
) -> int:
    taken = (
        insert(counter)
        .values(tenant_id=tenant_id, last_number=count)
        .on_conflict_do_update(index_elements=["tenant_id"], set_={"last_number": counter.last_number + count})
        .returning(counter.last_number)
    )
    return session.execute(taken).scalar_one() - count + 1

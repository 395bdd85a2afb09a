"""Customers' balances within one transaction: read with a lock, changed in memory, written once."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.tenant.billing import Balance

Account = tuple[UUID, str]
"""A customer and a currency."""


class Balances:
    """What customers have left over, in minor units by customer and currency."""

    def __init__(self, session: Session, tenant_id: UUID, customer_ids: Iterable[UUID]):
        self._session = session
        self._tenant_id = tenant_id
        locked = (
            select(Balance)
            .where(Balance.tenant_id == tenant_id, Balance.customer_id.in_(set(customer_ids)))
            .order_by(Balance.customer_id, Balance.currency)
            .with_for_update()
        )
        self._amounts: dict[Account, int] = {
            (row.customer_id, row.currency): row.amount for row in session.scalars(locked)
        }
        self._changed: dict[Account, int] = {}

    def __getitem__(self, account: Account) -> int:
        return self._amounts.get(account, 0)

    def __setitem__(self, account: Account, amount: int) -> None:
        if amount != self[account]:
            self._changed[account] = self._changed.get(account, 0) + amount - self[account]
            self._amounts[account] = amount

    def write(self) -> None:
        """Write what has changed, as differences: an account that someone else opened meanwhile is added to."""
        for (customer_id, currency), change in sorted(self._changed.items()):
            row = {"tenant_id": self._tenant_id, "customer_id": customer_id, "currency": currency}
            opened = insert(Balance).values(**row, amount=max(change, 0))
            self._session.execute(
                opened.on_conflict_do_update(index_elements=list(row), set_={"amount": Balance.amount + change})
            )
        self._changed.clear()

"""How a line that billing has composed is kept."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.billing.statement import StatementLine
from domain.ids import new_id


def line_row(tenant_id: UUID, invoice_id: UUID, line: StatementLine) -> dict[str, Any]:
    """The line as a row of `invoice_lines`."""
    charge, starts_at, ends_at = line.key or (None, None, None)
    return {
        "tenant_id": tenant_id, "id": new_id(), "invoice_id": invoice_id, "description": line.line.description,
        "quantity": line.line.quantity, "unit_amount": line.line.unit_amount, "amount": line.amount, "kind": line.kind,
        "charge": charge, "code": line.code, "starts_at": starts_at, "ends_at": ends_at,
    }  # fmt: skip

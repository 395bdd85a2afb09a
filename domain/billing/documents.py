"""An invoice as a PDF document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.billing.currencies import places

if TYPE_CHECKING:
    from fpdf import FPDF


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """A line as it is printed."""

    description: str
    quantity: Decimal
    unit_amount: Decimal
    amount: int


@dataclass(frozen=True, slots=True)
class Document:
    """What is printed. Amounts are in minor units of `currency`."""

    number: int | None
    state: str
    customer_name: str
    customer_email: str
    issued_at: datetime
    period: tuple[datetime, datetime] | None
    currency: str
    lines: Sequence[DocumentLine]
    total: int
    credited: int


def money(amount: Decimal | int, currency: str) -> str:
    """Minor units as people write them, with the currency's decimal places and any more that a unit price has."""
    least = places(currency)
    major = Decimal(amount).scaleb(-least)
    shown = f"{major:f}"
    digits = len(shown.partition(".")[2])
    return f"{major:.{max(least, min(digits, 12))}f} {currency}"


def pdf(document: Document) -> bytes:
    """The document's bytes. Letters that Latin-1 lacks are printed as question marks: the built-in fonts have no others."""
    # With its fonts and images a third of a second, which the API's start does not wait for.
    from fpdf import FPDF  # noqa: PLC0415

    page = FPDF(format="A4")
    page.set_creation_date(document.issued_at)
    page.set_title(_text(f"Invoice {document.number or 'draft'}"))
    page.add_page()
    page.set_font("Helvetica", "B", 18)
    title = "Draft invoice" if document.number is None else f"Invoice {document.number}"
    page.cell(0, 12, title, new_x="LMARGIN", new_y="NEXT")
    page.set_font("Helvetica", "", 10)
    heading = [document.customer_name, document.customer_email, f"Issued {document.issued_at:%Y-%m-%d}", document.state]
    if document.period is not None:
        heading.append(f"Period {document.period[0]:%Y-%m-%d %H:%M} to {document.period[1]:%Y-%m-%d %H:%M} UTC")
    for line in heading:
        page.cell(0, 6, _text(line), new_x="LMARGIN", new_y="NEXT")
    page.ln(6)
    _table(page, document)
    return bytes(page.output())


def _table(page: FPDF, document: Document) -> None:
    widths = (46, 14, 20, 20)
    aligned = ("LEFT", "RIGHT", "RIGHT", "RIGHT")
    with page.table(col_widths=widths, text_align=aligned, borders_layout="HORIZONTAL_LINES") as table:
        table.row(("Description", "Quantity", "Unit price", "Amount"))
        for line in document.lines:
            quantity = f"{line.quantity.normalize():f}"
            unit, amount = money(line.unit_amount, document.currency), money(line.amount, document.currency)
            table.row((_text(line.description), quantity, unit, amount))
        table.row(("Total", "", "", money(document.total, document.currency)))
        if document.credited:
            table.row(("Credited", "", "", money(-document.credited, document.currency)))


def _text(text: str) -> str:
    return text.replace("–", "-").encode("latin-1", "replace").decode("latin-1")

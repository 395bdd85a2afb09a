"""What routes of billing share: making rows once, finding them, and telling the platform when there is work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString, TypeVar
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.errors import Conflict, FieldError, NotFound
from models.base import TenantBase
from tenancy.scopes import tenant_scope
from web.context import tenancy
from web.idempotency import new_resource_id

Model = TypeVar("Model", bound=TenantBase)

_LOWER_DUE: LiteralString = """
UPDATE tenants SET billing_due_at = least(billing_due_at, %(due)s) WHERE id = %(id)s
"""


def insert_once(
    session: Session, seller: UUID, model: type[Model], values: Mapping[str, Any], *, unique: str = "id"
) -> Model:
    """Insert the row under the request's resource id, or find the one that an earlier run of the request inserted.

    Raises `Conflict` if another row has the same `unique` value.
    """
    key = {"tenant_id": seller, "id": new_resource_id()}
    session.execute(insert(model).values({**values, **key}).on_conflict_do_nothing())
    made = session.get(model, (key["tenant_id"], key["id"]))
    if made is None:
        fault = FieldError(f"/{unique}", "taken", "Another one has this value.")
        raise Conflict(f"There is a {_name(model)} with this {unique} already.", errors=(fault,))
    return made


def found(session: Session, seller: UUID, model: type[Model], id: UUID, *, to_change: bool = False) -> Model:
    """The seller's row with that id, locked if it is to change. Raises `NotFound`, also for another tenant's."""
    row = session.get(model, (seller, id), with_for_update=to_change or None)
    if row is None:
        raise NotFound(f"There is no {_name(model)} {id}.")
    return row


def named(session: Session, seller: UUID, model: type[Model], id: UUID) -> Model:
    """As `found`, for a row that the body names: the error points at the field."""
    row = session.get(model, (seller, id))
    if row is None:
        fault = FieldError(f"/{_name(model).replace(' ', '_')}_id", "not_found", f"There is no such {_name(model)}.")
        raise NotFound(f"There is no {_name(model)} {id}.", errors=(fault,))
    return row


def lower_due(seller: UUID, due: datetime) -> None:
    """Have the billing tick look at the seller no later than `due`.

    Call it before the commit, so that a crash cannot leave work that nobody looks for, and again after it, since a billing
    run in between has not seen the work and may have put the hint back.
    """
    tenancy().platform.fetch(_LOWER_DUE, {"due": due, "id": seller}, tenant_scope(seller))


def _name(model: type[TenantBase]) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in model.__name__).strip()

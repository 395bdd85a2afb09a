"""Pages of a tenant's rows, in the order in which they were made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select

from models.base import TenantBase
from web.context import tenancy, tenant_id
from web.pagination import Envelope, Page, read_page

Model = TypeVar("Model", bound=TenantBase)
FILTERED_BY_PAGE = frozenset({"limit", "cursor", "sort"})


def list_rows(
    model: type[Model],
    arguments: Mapping[str, Any],
    shown: Callable[[Model], Any] = lambda row: row,
    *,
    owner: UUID | None = None,
    where: Sequence[ColumnElement[bool]] = (),
) -> tuple[Envelope[Any], dict[str, str]]:
    """The envelope and the headers of the page that the loaded `PageQuerySchema` asks for.

    Every filter is named like the column that it must equal; `where` holds for every page. `shown` makes an item of a row; it keeps the `id`. `owner` is
    the tenant whose rows they are, where that is not the caller's: the filters must then say which of them the caller may
    see. Raises `InvalidCursor`.
    """
    whose = owner or tenant_id()
    page = read_page(arguments)
    filters = {name: value for name, value in arguments.items() if name not in FILTERED_BY_PAGE}
    statement = select(model).filter_by(tenant_id=whose, **filters).where(*where, *_beyond(model, page))
    identifier = _id(model)
    order = identifier.desc() if page.newest_first else identifier.asc()
    with tenancy().session(whose) as session:
        rows = session.scalars(statement.order_by(order).limit(page.fetch_limit)).all()
    return page.answer([shown(row) for row in rows])


def _beyond(model: type[TenantBase], page: Page) -> tuple[ColumnElement[bool], ...]:
    if page.after is None:
        return ()
    identifier = _id(model)
    return (identifier < page.after if page.newest_first else identifier > page.after,)


def _id(model: type[TenantBase]) -> ColumnElement[Any]:
    column: ColumnElement[Any] = model.__table__.c.id
    return column

"""Sealing anew, under the newest data key, what older ones have sealed: a row at a time, beside whoever works with it.

Each value is replaced only if it is still the one that was read, so nothing that is written meanwhile is lost, and a run
that was killed is simply run again: what it has done is not found any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy.orm import Session

from tenancy.access import Tenancy
from tenancy.database import Row, tenant_scope
from tenancy.sealed_columns import PLATFORM, TENANT, SealedTable
from tenancy.vault import SealBroken, Vault, sealed_under

BATCH = 200
"""Rows that are read at once."""

Statement = tuple[LiteralString, Mapping[str, Any]]
Run = Callable[[Sequence[Statement]], list[list[Row]]]
"""Runs statements as one transaction in the database where a table is."""


@dataclass(slots=True)
class Resealed:
    """What a pass came to. `unreadable` values open with no key of the tenant: a rotation cannot lose what is lost."""

    values: int = 0
    unreadable: int = 0


def stale(tenancy: Tenancy, vault: Vault, tenant_tables: Sequence[SealedTable] = TENANT) -> int:
    """How many rows hold a value of the tenant's that an older key than the newest has sealed."""
    return sum(
        run([(_counting(table), _where(vault))])[0][0]["rows"]
        for table, run in _places(tenancy, vault.tenant_id, tenant_tables)
    )


def reseal(
    tenancy: Tenancy, vault: Vault, tick: Callable[[int], None], tenant_tables: Sequence[SealedTable] = TENANT
) -> Resealed:
    """Go once through every table; `tick` is told how many rows are done, and may raise to stop."""
    found, rows = Resealed(), 0
    for table, run in _places(tenancy, vault.tenant_id, tenant_tables):
        for batch in _batches(table, vault, run):
            for row in batch:
                statements = [each for column in table.columns if (each := _renewed(table, column, row, vault, found))]
                if statements:
                    found.values += sum(len(changed) for changed in run(statements))
            rows += len(batch)
            tick(rows)
    return found


def _batches(table: SealedTable, vault: Vault, run: Run) -> Iterator[list[Row]]:
    after = UUID(int=0)
    while batch := run([(_reading(table), {**_where(vault), "after": after, "limit": BATCH})])[0]:
        yield batch
        after = batch[-1]["id"]


def _renewed(table: SealedTable, column: LiteralString, row: Row, vault: Vault, found: Resealed) -> Statement | None:
    """The statement that puts the value under the newest key; None if it has none, or is there already."""
    old = row[column]
    if old is None or bytes(old).startswith(sealed_under(vault.newest)):
        return None
    try:
        plain = vault.open(bytes(old), table.name, column, row["id"])
    except SealBroken:
        found.unreadable += 1
        return None
    new = vault.seal(plain, table.name, column, row["id"])
    return _replacing(table, column), {"id": row["id"], "tenant_id": vault.tenant_id, "old": old, "new": new}


def _places(
    tenancy: Tenancy, tenant_id: UUID, tenant_tables: Sequence[SealedTable]
) -> Iterator[tuple[SealedTable, Run]]:
    for table in PLATFORM:
        yield table, lambda statements: tenancy.platform.fetch_many(statements, tenant_scope(tenant_id))
    for table in tenant_tables:
        yield table, lambda statements: _in_tenant(tenancy, tenant_id, statements)


def _in_tenant(tenancy: Tenancy, tenant_id: UUID, statements: Sequence[Statement]) -> list[list[Row]]:
    with tenancy.session(tenant_id) as session:
        return [_rows(session, *statement) for statement in statements]


def _rows(session: Session, sql: LiteralString, parameters: Mapping[str, Any]) -> list[Row]:
    return [dict(row) for row in session.connection().exec_driver_sql(sql, dict(parameters)).mappings()]


def _where(vault: Vault) -> dict[str, Any]:
    newest = sealed_under(vault.newest)
    return {"tenant_id": vault.tenant_id, "newest": newest, "length": len(newest)}


def _condition(table: SealedTable) -> LiteralString:
    older: LiteralString = " OR ".join(f"substr({name}, 1, %(length)s::int) <> %(newest)s" for name in table.columns)
    return f"{table.tenant} = %(tenant_id)s AND ({older})"


def _counting(table: SealedTable) -> LiteralString:
    return f"SELECT count(*) AS rows FROM {table.name} WHERE {_condition(table)}"


def _reading(table: SealedTable) -> LiteralString:
    columns: LiteralString = ", ".join(table.columns)
    return f"SELECT id, {columns} FROM {table.name} WHERE {_condition(table)} AND id > %(after)s ORDER BY id LIMIT %(limit)s"


def _replacing(table: SealedTable, column: LiteralString) -> LiteralString:
    return (
        f"UPDATE {table.name} SET {column} = %(new)s"
        f" WHERE id = %(id)s AND {table.tenant} = %(tenant_id)s AND {column} = %(old)s RETURNING id"
    )

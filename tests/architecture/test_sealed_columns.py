"""A column that holds sealed values and is not in the registry would be lost when its key is destroyed."""

from __future__ import annotations

from sqlalchemy import MetaData

import models.platform
import models.tenant  # noqa: F401 - registers the tables
from models.base import PlatformBase, TenantBase
from tenancy.sealed_columns import PLATFORM, SHORT_LIVED, TENANT, UNDER_MASTER


def sealed(metadata: MetaData) -> set[tuple[str, str]]:
    """Every column of the models that is named as sealed ones are."""
    return {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if column.name.endswith("_sealed")
    }


def test_every_sealed_column_of_the_platform_is_in_the_registry() -> None:
    rotated = {(table.name, column) for table in PLATFORM for column in table.columns}
    others = {
        (name, column) for kept in (UNDER_MASTER, SHORT_LIVED) for name, names in kept.items() for column in names
    }
    assert rotated.isdisjoint(others)
    assert rotated | others == sealed(PlatformBase.metadata)


def test_every_sealed_column_of_a_tenants_database_is_in_the_registry() -> None:
    assert {(table.name, column) for table in TENANT for column in table.columns} == sealed(TenantBase.metadata)


def test_every_table_of_the_registry_says_whose_its_rows_are() -> None:
    for tables, metadata in ((PLATFORM, PlatformBase.metadata), (TENANT, TenantBase.metadata)):
        for table in tables:
            assert {"id", table.tenant} <= set(metadata.tables[table.name].columns.keys()), table.name

"""Every table of the platform with a tenant's rows is in archives or left out for a reason, and every one is erased."""

from __future__ import annotations

from models.base import PlatformBase
from tenancy.life.contents import LEFT_OUT, PLATFORM
from tenancy.life.erase import KEPT, platform_names

LOGINS = {"sessions"}
"""A person's, bound to a tenant at most; an erasure ends those."""


def tables() -> set[str]:
    return {table.name for table in PlatformBase.metadata.sorted_tables if "tenant_id" in table.columns}


def test_every_table_is_in_archives_or_left_out_for_a_reason() -> None:
    held = {contents.name for contents in PLATFORM}
    assert held.isdisjoint(LEFT_OUT)
    assert tables() - LOGINS == held | set(LEFT_OUT)
    assert all(LEFT_OUT.values())


def test_every_table_is_erased_but_the_proof() -> None:
    assert set(platform_names()) | KEPT | LOGINS == tables()

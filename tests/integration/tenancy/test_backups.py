"""Backups that nobody asks for: when they are due, what they leave, and who has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from config.settings import Settings
from domain.ids import new_id
from jobs.tenant_life import submit_backups
from tasks.tenant_life import export_tenant
from tenancy.access import Tenancy
from tenancy.life import archives


@pytest.fixture
def door(settings: Settings) -> Iterator[Tenancy]:
    """The workers' door of an operator who wants a backup a day."""
    tenancy = Tenancy(settings.model_copy(update={"backup_hours": 24.0}), "engine")
    yield tenancy
    tenancy.dispose()


def submitted(door: Tenancy, tenant_id: UUID) -> int:
    """How often a backup of the tenant was submitted."""
    query = "SELECT 1 FROM jobs WHERE tenant_id = %(id)s AND kind = 'tenant.export'"
    return len(door.platform.fetch(query, {"id": tenant_id}))  # type: ignore[arg-type]


def test_a_tenant_without_a_fresh_backup_gets_one_job_for_it(door: Tenancy, pooled_tenant: UUID) -> None:
    while submit_backups(door):  # some tenants at a time
        pass
    assert submitted(door, pooled_tenant) == 1


def test_nobody_gets_one_unless_the_operator_says_so(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    assert submit_backups(engine_tenancy) == 0
    assert submitted(engine_tenancy, pooled_tenant) == 0


def test_a_tenant_that_wants_none_gets_none(door: Tenancy, pooled_tenant: UUID) -> None:
    door.platform.fetch(
        """UPDATE tenants SET preferences = '{"backups": false}' WHERE id = %(id)s""", {"id": pooled_tenant}
    )
    submit_backups(door)
    assert submitted(door, pooled_tenant) == 0


def test_a_backup_removes_those_that_no_rule_keeps_with_their_objects(
    door: Tenancy, pooled_tenant: UUID, make_context: Callable[..., Any]
) -> None:
    old = [new_id() for _ in range(3)]
    for number, archive_id in enumerate(old):
        archives.begin(door.platform, pooled_tenant, archive_id, "backup", "system:test")
        door.bucket(pooled_tenant).put(archives.key_of(archive_id), b"old")
        door.platform.fetch(
            "UPDATE tenant_archives SET state = 'ready', created_at = date_trunc('year', now()) - interval '3 years'"
            " + make_interval(hours => %(n)s) WHERE id = %(id)s",
            {"n": number, "id": archive_id},
        )
    context, payload = make_context("tenant.export", pooled_tenant, {"kind": "backup"})
    made = UUID(export_tenant(context, payload)["id"])
    left = {row["id"] for row in archives.page(door.platform, pooled_tenant, after=None, limit=10, newest_first=True)}
    assert left == {made, old[2]}, "the last of its day, month and year"
    keys = {info.key for info in door.bucket(pooled_tenant).list(archives.PREFIX)}
    assert keys == {archives.key_of(made), archives.key_of(old[2])}

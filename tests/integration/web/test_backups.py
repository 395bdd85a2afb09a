"""Backups of the platform over HTTP: for operators, one at a time, listed when they are whole."""

from __future__ import annotations

from uuid import UUID

import pytest

from tenancy.access import Tenancy
from tenancy.recovery.store import Store
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of

BACKUPS = "/api/v1/admin/backups"


def test_backups_are_for_operators(caller: Caller) -> None:
    assert code_of(caller.get(BACKUPS)) == (403, "permission_denied")
    assert code_of(caller.post(BACKUPS)) == (403, "permission_denied")


def test_an_operator_asks_for_a_backup_and_for_one_only(
    operator: Caller, operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    answer = operator.post(BACKUPS, headers={"Idempotency-Key": "b1"})
    assert (answer.status_code, answer.json["kind"]) == (202, "platform.backup")
    assert operator.post(BACKUPS, headers={"Idempotency-Key": "b1"}).json["id"] == answer.json["id"]
    assert code_of(operator.post(BACKUPS)) == (409, "unique_key_taken")
    noted = operator.get("/api/v1/admin/audit", query_string={"action": "backup.requested", "limit": 200}).json["items"]
    assert f"user:{operator.user_id}" in {each["actor"] for each in noted}
    engine_tenancy.platform.fetch("DELETE FROM jobs WHERE id = %(id)s", {"id": answer.json["id"]})


@pytest.fixture
def stored(engine_tenancy: Tenancy) -> list[str]:
    """Three folders in the operator's bucket, the last without a manifest."""
    store = Store(engine_tenancy.settings, engine_tenancy.ring)
    ids = [f"0198f0aa-0000-7000-8000-00000000000{number}" for number in range(3)]
    for each in ids[:2]:
        store.bucket.put(f"{each}/manifest.json", b"{}")
    store.bucket.put(f"{ids[2]}/platform.backup", b"x")
    return ids


def test_what_is_whole_is_listed_in_pages_with_what_is_wrong(operator: Caller, stored: list[str]) -> None:
    first = operator.get(BACKUPS, query_string={"limit": 1}).json
    assert [(each["id"], each["problem"]) for each in first["items"]] == [(stored[1], "backup_not_genuine")]
    second = operator.get(BACKUPS, query_string={"limit": 1, "cursor": first["next_cursor"]}).json
    assert ([each["id"] for each in second["items"]], second["next_cursor"]) == ([stored[0]], None)
    oldest = operator.get(BACKUPS, query_string={"sort": "created_at"}).json["items"]
    assert [each["id"] for each in oldest] == stored[:2]

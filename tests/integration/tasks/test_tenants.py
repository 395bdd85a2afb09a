"""`tenant.provision` and `tenant.compensate`: who may make, who may undo, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, LiteralString
from uuid import UUID

import pytest

from domain.errors import Cancelled, TenantUnavailable, Transient
from domain.ids import new_id
from jobs.control import cancel
from jobs.provisioning import ensure_provisioning, given_up, submit_compensations
from tasks.tenants import compensate, provision
from tenancy.access import Tenancy
from tenancy.provisioning import Provisioner

MakeContext = Callable[..., tuple[Any, Any]]
MakeTenantRow = Callable[..., UUID]


@pytest.fixture
def door(engine_tenancy: Tenancy) -> Iterator[Tenancy]:
    """The workers' door, to a platform without unfinished tenants of other tests."""
    unfinished: LiteralString = "DELETE FROM tenants WHERE state IN ('provisioning', 'failed') AND NOT is_operator"
    engine_tenancy.platform.fetch(unfinished, {})
    yield engine_tenancy
    engine_tenancy.platform.fetch(unfinished, {})


def row(door: Tenancy, tenant_id: UUID) -> dict[str, Any]:
    """What the platform says of the tenant."""
    return door.platform.fetch("SELECT state, version, settings FROM tenants WHERE id = %(id)s", {"id": tenant_id})[0]


def saga_of(door: Tenancy, tenant_id: UUID, **options: Any) -> closing[Provisioner]:
    """A saga without a job."""
    return closing(Provisioner(door.settings, door, tenant_id, **options))


def abandon(door: Tenancy, tenant_id: UUID, user: UUID) -> UUID:
    """A provisioning that is cancelled before it begins."""
    job_id = ensure_provisioning(door, tenant_id, user).id
    cancel(door, tenant_id, job_id)
    return job_id


def compensations(door: Tenancy, tenant_id: UUID) -> int:
    """How often undoing was submitted."""
    query = "SELECT 1 FROM jobs WHERE kind = 'tenant.compensate' AND tenant_id = %(id)s"
    return len(door.platform.fetch(query, {"id": tenant_id}))  # type: ignore[arg-type]


def test_a_handler_that_fails_undoes_nothing(
    door: Tenancy, make_tenant_row: MakeTenantRow, make_context: MakeContext, user: UUID
) -> None:
    """It knows neither whether it was the last attempt nor what others have made since."""
    tenant_id = make_tenant_row("dedicated")
    context, payload = make_context("tenant.provision", tenant_id, {"owner_id": str(user)})
    context.request_cancel()
    with pytest.raises(Cancelled):
        provision(context, payload)
    assert row(door, tenant_id)["state"] == "provisioning"


def test_an_attempt_that_lost_its_job_makes_nothing(
    door: Tenancy, make_tenant_row: MakeTenantRow, make_context: MakeContext, user: UUID
) -> None:
    tenant_id = make_tenant_row("dedicated")
    context, payload = make_context("tenant.provision", tenant_id, {"owner_id": str(user)})
    door.platform.fetch(
        "UPDATE jobs SET token = %(other)s WHERE id = %(id)s", {"other": new_id(), "id": context.job_id}
    )
    before = row(door, tenant_id)
    with pytest.raises(Cancelled):
        provision(context, payload)
    assert row(door, tenant_id) == before


@pytest.mark.parametrize("tier", ["pooled", "dedicated"])
@pytest.mark.parametrize("done", range(1, 4))
def test_a_saga_that_another_has_overtaken_writes_nothing(
    door: Tenancy, make_tenant_row: MakeTenantRow, tier: str, done: int
) -> None:
    tenant_id = make_tenant_row(tier)
    with saga_of(door, tenant_id) as slow:
        for _, step in slow.steps()[:done]:
            step()
        slow.close()  # as when the newcomer ends its connection
        with saga_of(door, tenant_id) as quick:
            assert quick.compensate("given up")
        undone = row(door, tenant_id)
        assert undone["state"] == "failed"
        for _, step in slow.steps()[-2:]:
            with pytest.raises((Transient, TenantUnavailable)):
                step()
    assert row(door, tenant_id) == undone


def test_a_newcomer_takes_the_connection_of_a_saga_that_does_not_end(
    door: Tenancy, make_tenant_row: MakeTenantRow
) -> None:
    tenant_id = make_tenant_row("dedicated")
    with saga_of(door, tenant_id) as stuck, saga_of(door, tenant_id) as newcomer:
        stuck.steps()[0][1]()
        for _, step in newcomer.steps():
            step()
        with pytest.raises(Transient) as raised:
            stuck.steps()[1][1]()
    assert raised.value.job_code == "server_unavailable"
    assert row(door, tenant_id)["state"] == "active"


def test_an_active_tenant_is_neither_made_again_nor_undone(door: Tenancy, tenant: UUID) -> None:
    before = row(door, tenant)
    with saga_of(door, tenant) as saga:
        assert saga.compensate("by mistake") is False
        with pytest.raises(Transient):
            saga.steps()[0][1]()
    assert row(door, tenant) == before
    with door.session(tenant) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar() == 0


def test_a_provisioning_that_was_cancelled_while_it_waited_is_undone(
    door: Tenancy, make_tenant_row: MakeTenantRow, make_context: MakeContext, user: UUID
) -> None:
    tenant_id = make_tenant_row("pooled")
    abandon(door, tenant_id, user)
    assert submit_compensations(door) == 1
    assert submit_compensations(door) == 0, "it is submitted already"
    context, payload = make_context("tenant.compensate", tenant_id, {})
    reason = "cancelled: provisioning was given up after 0 attempts"
    assert compensate(context, payload) == {"tenant_id": str(tenant_id), "undone": True, "reason": reason}
    assert row(door, tenant_id)["settings"] == {"failure": reason}
    again, payload = make_context("tenant.compensate", tenant_id, {})
    assert compensate(again, payload)["undone"] is False


def test_undoing_that_failed_for_good_begins_anew_after_a_while(
    door: Tenancy, make_tenant_row: MakeTenantRow, user: UUID
) -> None:
    tenant_id = make_tenant_row("pooled")
    abandon(door, tenant_id, user)
    submit_compensations(door)
    door.platform.fetch(
        "UPDATE jobs SET state = 'failed', finished_at = now() WHERE kind = 'tenant.compensate' AND tenant_id = %(id)s",
        {"id": tenant_id},
    )
    assert (submit_compensations(door), compensations(door, tenant_id)) == (0, 1)
    door.platform.fetch(
        "UPDATE jobs SET created_at = created_at - interval '11 minutes', finished_at = finished_at - interval '11 minutes'"
        " WHERE tenant_id = %(id)s",
        {"id": tenant_id},
    )
    assert (submit_compensations(door), compensations(door, tenant_id)) == (1, 2)


def test_a_tenant_that_is_being_made_is_not_undone(
    door: Tenancy, make_tenant_row: MakeTenantRow, make_context: MakeContext, user: UUID
) -> None:
    """Neither while its first provisioning lives, nor while one that was begun anew does."""
    tenant_id = make_tenant_row("pooled")
    ensure_provisioning(door, tenant_id, user)
    assert (given_up(door, tenant_id), submit_compensations(door)) == (None, 0)
    door.platform.fetch(
        "UPDATE jobs SET state = 'failed', finished_at = now() WHERE tenant_id = %(id)s", {"id": tenant_id}
    )
    assert given_up(door, tenant_id) is not None
    make_context("tenant.provision", tenant_id, {"owner_id": str(user)})
    assert (given_up(door, tenant_id), submit_compensations(door)) == (None, 0)
    context, payload = make_context("tenant.compensate", tenant_id, {})
    assert compensate(context, payload)["undone"] is False
    assert row(door, tenant_id)["state"] == "provisioning"


@pytest.mark.parametrize(
    "lose", ["DELETE FROM tenant_keys WHERE tenant_id = %(id)s", "UPDATE tenant_keys SET wrapped = 'x' WHERE tenant_id = %(id)s"]
)  # fmt: skip
def test_a_tenant_whose_keys_are_lost_does_not_keep_others_from_being_undone(
    door: Tenancy, make_tenant_row: MakeTenantRow, user: UUID, lose: LiteralString
) -> None:
    keyless, other = make_tenant_row("pooled"), make_tenant_row("pooled")
    for tenant_id in (keyless, other):
        abandon(door, tenant_id, user)
    door.platform.fetch(lose, {"id": keyless})
    door.directory.forget(keyless)
    assert submit_compensations(door) == 1
    assert (compensations(door, other), compensations(door, keyless)) == (1, 0)

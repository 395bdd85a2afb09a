"""Changes in a tenant's own database stand in its audit, with who made them, whatever dies in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from domain.audit.entries import Origin
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.audit import acting
from tenancy.audit.outbox import NOTED_TABLES, is_noted
from tenancy.audit.reading import AuditFilter, page
from tenancy.audit.verifying import verify
from tenancy.database import tenant_scope

METER = text(
    "INSERT INTO meters (tenant_id, id, code, name, aggregation) VALUES (:tenant, :id, :code, 'Calls', 'count')"
)
CUSTOMER = text("INSERT INTO customers (tenant_id, id, name, email) VALUES (:tenant, :id, 'Ada', 'ada@example.com')")
USER = Origin("user:ada", new_id(), "request-7", "192.0.2.7")


def entries(tenancy: Tenancy, tenant_id: UUID) -> list[dict[str, Any]]:
    """The tenant's, the oldest first."""
    return page(tenancy.platform, tenant_id, AuditFilter(), after=None, limit=200, newest_first=False)


def waiting(tenancy: Tenancy, tenant_id: UUID) -> int:
    with tenancy.session(tenant_id) as session:
        return int(session.execute(text("SELECT count(*) FROM audit_outbox")).scalar_one())


def meter(tenancy: Tenancy, tenant_id: UUID, code: str = "calls") -> UUID:
    made = new_id()
    with tenancy.session(tenant_id) as session:
        session.execute(METER, {"tenant": tenant_id, "id": made, "code": code})
    return made


def test_a_change_is_noted_with_who_acts_and_told_at_once(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    with acting(USER):
        made = meter(web_tenancy, pooled_tenant)
        web_tenancy.fetch_many(
            pooled_tenant,
            [
                (
                    "UPDATE meters SET name = 'Both' WHERE tenant_id = %(t)s AND id = %(id)s",
                    {"t": pooled_tenant, "id": made},
                )
            ],
        )
    found = [each for each in entries(web_tenancy, pooled_tenant) if each["resource"] == f"meter:{made}"]
    assert [(each["action"], each["actor"], each["user_id"]) for each in found] == [
        ("meter.created", "user:ada", USER.user_id), ("meter.updated", "user:ada", USER.user_id),
    ]  # fmt: skip
    assert (found[0]["before"], found[0]["after"]["code"]) == (None, "calls")
    assert (found[1]["before"], found[1]["after"]) == ({"name": "Calls"}, {"name": "Both"})
    assert (found[1]["request_id"], found[1]["address"]) == ("request-7", "192.0.2.7")
    assert waiting(web_tenancy, pooled_tenant) == 0


def test_what_is_rolled_back_is_not_noted(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    before = len(entries(web_tenancy, pooled_tenant))

    def fail() -> None:
        with web_tenancy.session(pooled_tenant) as session:
            session.execute(METER, {"tenant": pooled_tenant, "id": new_id(), "code": "never"})
            raise RuntimeError("given up")

    with pytest.raises(RuntimeError):
        fail()
    web_tenancy.tell_audit(pooled_tenant)
    assert len(entries(web_tenancy, pooled_tenant)) == before


def test_what_a_crash_left_is_told_by_who_reads_and_kept_once(
    web_tenancy: Tenancy, engine_tenancy: Tenancy, pooled_tenant: UUID, monkeypatch: pytest.MonkeyPatch,
    seal_all: Callable[[], None],
) -> None:  # fmt: skip
    """Killed after the commit and before the telling; and, worse, between telling and removing."""
    with monkeypatch.context() as patch:
        patch.setattr("tenancy.access.tell", lambda *_: 0)
        made = meter(web_tenancy, pooled_tenant)
    assert waiting(web_tenancy, pooled_tenant) == 1

    def told() -> int:
        return sum(each["resource"] == f"meter:{made}" for each in entries(web_tenancy, pooled_tenant))

    assert told() == 0
    row = engine_tenancy.fetch_many(pooled_tenant, [("SELECT * FROM audit_outbox", {})])[0][0]
    web_tenancy.tell_audit(pooled_tenant)
    assert told() == 1
    seal_all()
    again = {**row, "before": None, "after": '{"code": "calls"}'}
    engine_tenancy.fetch_many(pooled_tenant, [(_PUT_BACK, again)])
    web_tenancy.tell_audit(pooled_tenant)
    assert (told(), waiting(web_tenancy, pooled_tenant)) == (1, 0)
    seal_all()
    assert verify(engine_tenancy.platform, pooled_tenant).faults == ()


_PUT_BACK: Any = """
INSERT INTO audit_outbox (tenant_id, id, occurred_at, actor, action, resource, after)
VALUES (%(tenant_id)s, %(id)s, %(occurred_at)s, %(actor)s, %(action)s, %(resource)s, %(after)s::jsonb)
"""


def test_names_addresses_and_secrets_are_not_shown(web_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    made = new_id()
    with web_tenancy.session(pooled_tenant) as session:
        session.execute(CUSTOMER, {"tenant": pooled_tenant, "id": made})
        session.execute(
            text(
                "INSERT INTO notification_providers (tenant_id, id, name, channel, type, priority, enabled, config, secret_sealed, last_four)"
                " VALUES (:tenant, :id, 'smtp', 'email', 'smtp', 1, true, '{\"api_key\": \"sk-very-secret\"}', :sealed, '{\"api_key\": \"cret\"}')"
            ),
            {"tenant": pooled_tenant, "id": new_id(), "sealed": b"sk-very-secret"},
        )
    told = str(entries(web_tenancy, pooled_tenant))
    assert "customer.created" in told
    assert "notification_provider.created" in told
    for secret in ("ada@example.com", "Ada", "sk-very-secret", b"sk-very-secret".hex()):
        assert secret not in told


def test_two_tenants_in_one_database_are_told_apart(
    web_tenancy: Tenancy, make_tenant: Callable[..., UUID], pooled_tenant: UUID
) -> None:
    other = make_tenant("pooled", "Other")
    mine, theirs = meter(web_tenancy, pooled_tenant), meter(web_tenancy, other)
    assert {f"meter:{mine}"} == {each["resource"] for each in entries(web_tenancy, pooled_tenant)} & {
        f"meter:{mine}", f"meter:{theirs}"
    }  # fmt: skip
    with web_tenancy.session(pooled_tenant) as session:
        assert (
            session.execute(text("SELECT count(*) FROM audit_outbox WHERE tenant_id = :t"), {"t": other}).scalar() == 0
        )


def test_who_restores_or_moves_rows_notes_nothing(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    with (
        engine_tenancy.database(engine_tenancy.record(pooled_tenant)) as database,
        database.session(tenant_scope(pooled_tenant)) as session,
    ):
        session.execute(METER, {"tenant": pooled_tenant, "id": new_id(), "code": "restored"})
        assert session.execute(text("SELECT count(*) FROM audit_outbox")).scalar_one() == 0


def test_the_triggers_and_the_room_know_the_same_tables(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    found = engine_tenancy.fetch_many(
        pooled_tenant, [("SELECT tgrelid::regclass::text AS name FROM pg_trigger WHERE tgname = 'note_change'", {})]
    )[0]
    assert {row["name"] for row in found} == set(NOTED_TABLES)


@pytest.mark.parametrize("name", NOTED_TABLES)
def test_a_statement_that_changes_one_of_them_is_known(name: str) -> None:
    assert is_noted(f"INSERT INTO {name} (id) VALUES (1)")
    assert is_noted(f"WITH a AS (SELECT 1)\nUPDATE {name} SET id = 1")
    assert is_noted(f"delete  from {name} where true")
    assert not is_noted(f"SELECT * FROM {name} FOR UPDATE")

"""A chain proves what happened: whatever is done to it behind the platform's back is found."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain.audit.chain import Link
from domain.audit.entries import PLATFORM, Origin
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.audit import acting, audited, record
from tenancy.audit.reading import AuditFilter, page
from tenancy.audit.sealing import prune, seal_waiting
from tenancy.audit.verifying import Verdict, verify
from tenancy.database import NO_SCOPE, Database
from tenancy.scopes import operator_scope, tenant_scope

Note = Callable[[UUID, int], None]
SealAll = Callable[[], None]
AsOwner = Callable[..., Any]


def codes(verdict: Verdict) -> list[tuple[str, int | None]]:
    return [(fault.code, fault.sequence) for fault in verdict.faults]


@pytest.fixture
def nobody() -> UUID:
    """The id of a tenant that is no more, so that nothing but the test notes anything: a chain outlives its tenant."""
    return new_id()


@pytest.fixture
def chain(nobody: UUID, note: Note, seal_all: SealAll) -> UUID:
    """A tenant with a chain of ten entries."""
    note(nobody, 10)
    seal_all()
    return nobody


def test_entries_are_sealed_in_their_order_and_the_chain_holds(chain: UUID, web_tenancy: Tenancy) -> None:
    verdict = verify(web_tenancy.platform, chain)
    assert (verdict.checked, verdict.last.sequence, verdict.waiting, verdict.faults) == (10, 10, 0, ())
    rows = page(web_tenancy.platform, chain, AuditFilter(), after=None, limit=20, newest_first=False)
    assert [(row["sequence"], row["resource"]) for row in rows] == [(n + 1, f"thing:{n}") for n in range(10)]


def test_a_long_chain_is_verified_in_pieces(chain: UUID, web_tenancy: Tenancy) -> None:
    after: int | None = 0
    checked, pieces = 0, 0
    while after is not None:
        verdict = verify(web_tenancy.platform, chain, after=after, limit=3)
        assert verdict.faults == ()
        checked, pieces, after = checked + verdict.checked, pieces + 1, verdict.next
    assert (checked, pieces) == (10, 4)


TAMPERINGS: dict[str, tuple[list[str], list[tuple[str, int | None]]]] = {
    "altered": (
        ["UPDATE audit_entries SET actor = 'user:nobody' WHERE tenant_id = %(t)s AND resource = 'thing:3'"],
        [("altered", 4)],
    ),
    "altered in what it was": (
        ["UPDATE audit_entries SET before = '{\"n\": 4}' WHERE tenant_id = %(t)s AND resource = 'thing:3'"],
        [("altered", 4)],
    ),
    "backdated": (
        [("UPDATE audit_entries SET occurred_at = occurred_at - interval '1 microsecond'"
         " WHERE tenant_id = %(t)s AND resource = 'thing:0'")],
        [("altered", 1)],
    ),
    "entry removed": (
        ["DELETE FROM audit_entries WHERE tenant_id = %(t)s AND resource = 'thing:9'"],
        [("missing_entry", 10)],
    ),
    "seal removed": (
        ["DELETE FROM audit_seals WHERE tenant_id = %(t)s AND sequence = 5"],
        [("missing_seal", 5), ("never_sealed", None)],
    ),
    "entry and seal removed": (
        ["DELETE FROM audit_entries WHERE tenant_id = %(t)s AND resource = 'thing:4'",
         "DELETE FROM audit_seals WHERE tenant_id = %(t)s AND sequence = 5"],
        [("missing_seal", 5)],
    ),
    "first ones removed": (
        ["DELETE FROM audit_entries WHERE tenant_id = %(t)s AND resource IN ('thing:0', 'thing:1')",
         "DELETE FROM audit_seals WHERE tenant_id = %(t)s AND sequence <= 2"],
        [("missing_seal", 1)],
    ),
    "reordered": (
        ["UPDATE audit_seals SET sequence = -sequence WHERE tenant_id = %(t)s AND sequence IN (3, 4)",
         "UPDATE audit_seals SET sequence = 7 + sequence WHERE tenant_id = %(t)s AND sequence < 0"],
        [("altered", 3), ("altered", 4), ("altered", 5)],
    ),
    "renumbered after a removal": (
        ["DELETE FROM audit_entries WHERE tenant_id = %(t)s AND resource = 'thing:8'",
         "DELETE FROM audit_seals WHERE tenant_id = %(t)s AND sequence = 9",
         "UPDATE audit_seals SET sequence = 9 WHERE tenant_id = %(t)s AND sequence = 10"],
        [("altered", 9)],
    ),
    "taken from the queue": (
        [("INSERT INTO audit_entries (tenant_id, id, actor, action, resource)"
         " VALUES (%(t)s, gen_random_uuid(), 'user:x', 'thing.update', 'thing:late')"),
         "DELETE FROM audit_unsealed WHERE tenant_id = %(t)s"],
        [("never_sealed", None)],
    ),
    "removed before it was sealed": (
        [("INSERT INTO audit_entries (tenant_id, id, actor, action, resource)"
         " VALUES (%(t)s, gen_random_uuid(), 'user:x', 'thing.update', 'thing:late')"),
         "DELETE FROM audit_entries WHERE tenant_id = %(t)s AND resource = 'thing:late'"],
        [("removed_unsealed", None)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERINGS)
def test_whatever_the_owner_does_behind_the_platforms_back_is_found(
    chain: UUID, web_tenancy: Tenancy, as_owner: AsOwner, name: str
) -> None:
    statements, expected = TAMPERINGS[name]
    as_owner(*((statement, {"t": chain}) for statement in statements))
    assert codes(verify(web_tenancy.platform, chain)) == expected
    pieces = [verify(web_tenancy.platform, chain, after=after, limit=2) for after in range(0, 12, 2)]
    assert any(piece.faults for piece in pieces)


def test_a_chain_that_was_cut_off_or_rewritten_is_found_by_whoever_noted_its_head(
    chain: UUID, web_tenancy: Tenancy, engine_tenancy: Tenancy, as_owner: AsOwner
) -> None:
    head = verify(web_tenancy.platform, chain).last
    assert verify(web_tenancy.platform, chain, known=head).faults == ()
    cut = [
        "DELETE FROM audit_entries WHERE tenant_id = %(t)s AND resource = 'thing:9'",
        "DELETE FROM audit_seals WHERE tenant_id = %(t)s AND sequence = 10",
    ]
    as_owner(*((statement, {"t": chain}) for statement in cut))
    assert verify(web_tenancy.platform, chain).faults == ()
    assert codes(verify(web_tenancy.platform, chain, known=head)) == [("cut_off", 10)]
    with web_tenancy.platform.session(tenant_scope(chain)) as session:
        record(session, "thing.update", "thing:other")
    seal_waiting(engine_tenancy.platform)
    assert verify(web_tenancy.platform, chain).faults == ()
    assert codes(verify(web_tenancy.platform, chain, known=head)) == [("rewritten", 10)]
    assert (
        verify(web_tenancy.platform, chain, known=Link(10, verify(web_tenancy.platform, chain).last.hash)).faults == ()
    )


def test_no_application_account_changes_or_removes_an_entry(
    chain: UUID, web_tenancy: Tenancy, engine_tenancy: Tenancy
) -> None:
    for tenancy in (web_tenancy, engine_tenancy):
        for table in ("audit_entries", "audit_seals", "audit_anchors"):
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET tenant_id = tenant_id", f"TRUNCATE {table}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    tenancy.platform.fetch(statement, {}, tenant_scope(chain))  # type: ignore[arg-type]
    for forged in (
        "INSERT INTO audit_seals (tenant_id, sequence, entry_id, hash) VALUES (%(t)s, 11, %(t)s, '')",
        "INSERT INTO audit_anchors (tenant_id, sequence, hash) VALUES (%(t)s, 11, '')",
        "DELETE FROM audit_unsealed",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            web_tenancy.platform.fetch(forged, {"t": chain}, tenant_scope(chain))  # type: ignore[arg-type]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        web_tenancy.platform.fetch("SELECT * FROM prune_audit(interval '0', 100)", {}, tenant_scope(chain))


def test_a_tenant_neither_reads_nor_writes_another_ones_chain_nor_the_platforms(
    chain: UUID, make_tenant: Callable[..., UUID], web_tenancy: Tenancy
) -> None:
    other = make_tenant()
    platform = web_tenancy.platform
    with platform.session(NO_SCOPE) as session:
        record(session, "login.failed", "user:unknown")
    assert platform.fetch("SELECT * FROM audit_entries", {}) == []
    for row in platform.fetch("SELECT tenant_id FROM audit_entries", {}, tenant_scope(other)):
        assert row["tenant_id"] == other
    seen = platform.fetch("SELECT DISTINCT tenant_id FROM audit_entries", {}, operator_scope())
    assert seen == [{"tenant_id": PLATFORM}]
    insert = (
        "INSERT INTO audit_entries (tenant_id, id, actor, action, resource) VALUES (%(t)s, %(t)s, 'x', 'x.y', 'x:1')"
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        platform.fetch(insert, {"t": chain}, tenant_scope(other))


def test_an_entry_is_there_only_with_its_change(pooled_tenant: UUID, web_tenancy: Tenancy) -> None:
    def undone() -> None:
        with web_tenancy.platform.session(tenant_scope(pooled_tenant)) as session:
            record(session, "thing.update", "thing:undone")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    nothing = audited(
        "UPDATE roles SET name = name WHERE tenant_id = %(t)s AND name = 'none' RETURNING id", {"t": pooled_tenant},
        tenant_scope(pooled_tenant), "role.update", "role:none",
    )  # fmt: skip
    assert web_tenancy.platform.fetch(*nothing, tenant_scope(pooled_tenant)) == []
    several = audited(
        "UPDATE roles SET name = name WHERE tenant_id = %(t)s RETURNING id, name", {"t": pooled_tenant},
        tenant_scope(pooled_tenant), "role.update", "role:all", before_columns="jsonb_build_object('name', name)",
    )  # fmt: skip
    with acting(Origin("job:1", request_id="r")):
        several = (several[0], several[1])
    assert len(web_tenancy.platform.fetch(*several, tenant_scope(pooled_tenant))) == 4
    rows = page(web_tenancy.platform, pooled_tenant, AuditFilter(action="role.update"), after=None, limit=20)
    assert [(row["action"], row["resource"]) for row in rows] == [("role.update", "role:all")]


def test_appending_waits_for_nobody(nobody: UUID, web_tenancy: Tenancy, seal_all: SealAll) -> None:
    """A transaction that noted something and goes on for long holds up no other, and is sealed when it is done."""
    with web_tenancy.platform.session(tenant_scope(nobody)) as slow:
        record(slow, "thing.update", "thing:slow")
        with web_tenancy.platform.session(tenant_scope(nobody)) as quick:
            quick.connection().exec_driver_sql("SET LOCAL lock_timeout = '2s'")
            record(quick, "thing.update", "thing:quick")
        seal_all()
    seal_all()
    rows = page(web_tenancy.platform, nobody, AuditFilter(), after=None, limit=20)
    assert {row["resource"]: row["sequence"] for row in rows} == {"thing:quick": 1, "thing:slow": 2}
    assert verify(web_tenancy.platform, nobody).faults == ()


def test_many_writers_and_two_sealers_make_one_chain(
    nobody: UUID, note: Note, engine_tenancy: Tenancy, web_tenancy: Tenancy, seal_all: SealAll
) -> None:
    writers = [threading.Thread(target=note, args=(nobody, 15)) for _ in range(4)]
    done = threading.Event()

    def sealing() -> None:
        while not done.is_set():
            seal_waiting(engine_tenancy.platform, batch=3)

    sealers = [threading.Thread(target=sealing) for _ in range(2)]
    for thread in (*writers, *sealers):
        thread.start()
    for writer in writers:
        writer.join()
    done.set()
    for sealer in sealers:
        sealer.join()
    seal_all()
    verdict = verify(web_tenancy.platform, nobody)
    assert (verdict.checked, verdict.waiting, verdict.faults) == (60, 0, ())


def test_what_is_past_its_time_goes_from_the_front_and_the_rest_still_holds(
    chain: UUID, note: Note, seal_all: SealAll, engine_tenancy: Tenancy, web_tenancy: Tenancy, as_owner: AsOwner
) -> None:
    # Written as they would have been, for an entry's time is part of its hash.
    as_owner(("UPDATE audit_seals SET sealed_at = now() - interval '500 days' WHERE tenant_id = %(t)s AND sequence <= 6",
              {"t": chain}))  # fmt: skip
    assert prune(engine_tenancy.platform, timedelta(days=501)) == 0
    with_young_entries = prune(engine_tenancy.platform, timedelta(days=400))
    assert with_young_entries == 6
    assert (
        len(page(web_tenancy.platform, chain, AuditFilter(), after=None, limit=20)) == 10
    )  # row-level security kept them
    as_owner((("DELETE FROM audit_entries e WHERE tenant_id = %(t)s AND NOT EXISTS"
              " (SELECT FROM audit_seals s WHERE s.entry_id = e.id)"), {"t": chain}))  # fmt: skip
    verdict = verify(web_tenancy.platform, chain)
    assert (verdict.first.sequence, verdict.checked, verdict.last.sequence, verdict.faults) == (6, 4, 10, ())
    note(chain, 1)
    seal_all()
    assert verify(web_tenancy.platform, chain).last.sequence == 11
    assert verify(web_tenancy.platform, chain, after=3).faults == ()


def test_nothing_younger_than_thirty_days_can_be_pruned_by_anyone(chain: UUID, engine_tenancy: Tenancy) -> None:
    assert prune(engine_tenancy.platform, timedelta(0)) == 0


def test_pruning_keeps_the_anchor_of_a_chain_that_went_whole(
    chain: UUID, note: Note, seal_all: SealAll, engine_tenancy: Tenancy, web_tenancy: Tenancy, as_owner: AsOwner,
    settings: Any,
) -> None:  # fmt: skip
    as_owner(("UPDATE audit_seals SET sealed_at = now() - interval '500 days' WHERE tenant_id = %(t)s", {"t": chain}),
             ("DELETE FROM audit_entries WHERE tenant_id = %(t)s", {"t": chain}))  # fmt: skip
    assert prune(engine_tenancy.platform, timedelta(days=400), most=4) == 4
    assert prune(engine_tenancy.platform, timedelta(days=400)) == 6
    verdict = verify(web_tenancy.platform, chain)
    assert (verdict.checked, verdict.last.sequence, verdict.faults) == (0, 10, ())
    note(chain, 2)
    seal_all()
    assert verify(web_tenancy.platform, chain).last.sequence == 12
    assert verify(web_tenancy.platform, chain).faults == ()


def test_sealing_when_nothing_waits_is_one_statement(
    engine_tenancy: Tenancy, count_trips: Any, seal_all: SealAll
) -> None:
    seal_all()
    with count_trips(engine_tenancy.platform) as trips:
        assert seal_waiting(engine_tenancy.platform) == 0
    assert trips.count == 1


def test_noting_with_a_statement_costs_no_round_trip(
    pooled_tenant: UUID, web_tenancy: Tenancy, count_trips: Callable[[Database], Any]
) -> None:
    scope = tenant_scope(pooled_tenant)
    with count_trips(web_tenancy.platform) as trips:
        web_tenancy.platform.fetch(
            *audited(
                "UPDATE tenants SET name = name WHERE id = %(t)s RETURNING id", {"t": pooled_tenant}, scope,
                "tenant.update", f"tenant:{pooled_tenant}",
            ), scope,
        )  # fmt: skip
    assert trips.count == 1

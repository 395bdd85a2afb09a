"""`nexus queues`, `kinds`, `workers`, and the part of `tenants` that is for operators."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from domain.ids import new_id
from jobs import controls, fleet
from jobs.backlog import measure
from jobs.kinds import KINDS, QUEUES
from tenancy.access import Tenancy
from tenancy.scopes import operator_scope
from tests.integration.cli.conftest import Account, Nexus


@pytest.fixture
def operator(logged_in: Account, web_tenancy: Tenancy) -> Iterator[Account]:
    """Someone who runs the platform, logged in; what they hold back ends with the test."""
    web_tenancy.platform.fetch("UPDATE users SET is_operator = true WHERE id = %(id)s", {"id": logged_in.id})
    yield logged_in
    for table in ("dispatch_pauses", "tenant_limits"):
        web_tenancy.platform.fetch(f"DELETE FROM {table}", {}, operator_scope())  # type: ignore[arg-type]  # ours


@pytest.fixture
def leading(engine_tenancy: Tenancy) -> Iterator[None]:
    """A leader that reads what operators want and measures, on a platform where no job is left."""
    engine_tenancy.platform.fetch("DELETE FROM jobs", {})
    stop = threading.Event()

    def lead() -> None:
        while not stop.wait(0.05):
            controls.read(engine_tenancy.platform)
            measure(engine_tenancy.platform, QUEUES)

    thread = threading.Thread(target=lead)
    thread.start()
    yield
    stop.set()
    thread.join()


def states(nexus: Nexus, what: str) -> dict[str, str]:
    """The column `state` of a printed list, by name."""
    heading, *rows = (line.split("\t") for line in nexus(what, "list").out.splitlines())
    return {row[0]: row[heading.index("state")] for row in rows}


@pytest.mark.parametrize(("what", "name", "names"), [("queues", "search", QUEUES), ("kinds", "search.query", KINDS)])
def test_queues_and_kinds_are_paused_and_resumed(
    nexus: Nexus, operator: Account, what: str, name: str, names: tuple[str, ...]
) -> None:
    assert states(nexus, what) == dict.fromkeys(names, "active")

    paused = nexus(what, "pause", name, "--reason", "new index", "--json")
    assert (paused.code, paused.json["name"], paused.json["reason"]) == (0, name, "new index")
    assert states(nexus, what)[name] == "paused"
    assert nexus(what, "drain", name).code == 0
    assert states(nexus, what)[name] == "draining"

    assert nexus(what, "resume", name).out == f"{name} goes on\n"
    assert nexus(what, "resume", name, "--json").json == {"name": name, "paused": False}
    assert set(states(nexus, what).values()) == {"active"}
    assert [each["name"] for each in nexus(what, "list", "--json").json["items"]] == list(names)


def test_a_drain_that_is_waited_for_ends_when_nothing_is_in_flight(
    nexus: Nexus, operator: Account, leading: None
) -> None:
    outcome = nexus("queues", "drain", "search", "--wait", "--timeout", "30", "--json")

    assert outcome.code == 0, outcome.err
    assert (outcome.json["in_flight"], outcome.json["drained"]) == (0, True)
    assert states(nexus, "queues")["search"] == "drained"


def test_a_drain_that_takes_too_long_stays_and_says_so(nexus: Nexus, operator: Account) -> None:
    """No leader, so nobody ever says that it is drained."""
    outcome = nexus("kinds", "drain", "system.ping", "--wait", "--timeout", "0.5")

    assert outcome.code == 1
    assert "it stays paused" in outcome.err
    assert states(nexus, "kinds")["system.ping"] == "draining"


def test_a_tenant_is_paused_resumed_and_drained(
    nexus: Nexus, operator: Account, pooled_tenant: UUID, leading: None
) -> None:
    assert nexus("tenants", "pause", str(pooled_tenant), "--json").json["name"] == str(pooled_tenant)
    assert nexus("tenants", "resume", str(pooled_tenant)).code == 0
    drained = nexus("tenants", "drain", str(pooled_tenant), "--wait", "--json")
    assert (drained.code, drained.json["drained"]) == (0, True)


def test_limits_are_shown_and_those_given_are_changed(
    nexus: Nexus, operator: Account, make_tenant: Callable[..., UUID]
) -> None:
    name = f"Limited {new_id()}"
    tenant = make_tenant("pooled", name)
    assert nexus("tenants", "limits", name, "--json").json["weight"] == 1.0

    changed = nexus("tenants", "limits", name, "--weight", "2.5", "--rate", "4", "--max-running", "9", "--json")
    assert changed.code == 0, changed.err
    shown = nexus("tenants", "limits", str(tenant), "--json").json
    assert shown == changed.json
    assert (shown["weight"], shown["rate_per_second"], shown["burst"], shown["max_running"]) == (2.5, 4.0, 4, 9)

    kept = nexus("tenants", "limits", name, "--rate", "20", "--json").json
    assert (kept["weight"], kept["rate_per_second"], kept["burst"], kept["max_running"]) == (2.5, 20.0, 20, 9)
    lifted = nexus(
        "tenants", "limits", name, "--rate", "none", "--max-running", "none", "--weight", "none", "--json"
    ).json
    assert (lifted["weight"], lifted["rate_per_second"], lifted["burst"], lifted["max_running"]) == (
        1.0,
        None,
        None,
        None,
    )


def test_workers_are_listed_with_what_they_run(nexus: Nexus, operator: Account, engine_tenancy: Tenancy) -> None:
    facts = {"id": new_id(), "name": "io@here", "queues": ["search"], "slots": 4, "pid": 7, "stopping": False}
    fleet.beat(engine_tenancy.platform, facts)
    try:
        heading, *rows = nexus("workers").out.splitlines()
        shown = [row.split("\t") for row in rows if row.startswith("io@here")]
        listed = nexus("workers", "--json").json["items"]
        jobs = nexus("workers", "--jobs")
    finally:
        fleet.withdraw(engine_tenancy.platform, facts["id"])  # type: ignore[arg-type]  # it is the id
    assert heading.split("\t")[:4] == ["name", "queues", "slots", "running"]
    assert [row[:4] for row in shown] == [["io@here", "search", "4", "0"]]
    assert "io@here" in {worker["name"] for worker in listed}
    assert jobs.out.split("\t")[:2] == ["worker", "job"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("queues", "pause", "nowhere"), "[not_found]"),
        (("queues", "resume", "nowhere"), "[not_found]"),
        (("kinds", "drain", "nothing.done", "--wait"), "[not_found]"),
        (("queues", "pause", "../pauses"), "no name of a queue"),
        (("queues", "pause", ".."), "no name of a queue"),
        (("tenants", "pause", "Nobody at all"), "there is no tenant"),
        (("tenants", "pause", str(new_id())), "[not_found]"),
        (("tenants", "limits", str(new_id()), "--weight", "nan"), "no number that can be meant"),
        (("tenants", "limits", str(new_id()), "--max-running", "many"), "neither a number nor none"),
        (("tenants", "limits", str(new_id()), "--weight", "2"), "[not_found]"),
        (("queues", "drain", "search", "--wait", "--timeout", "0"), "0.1"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(
    nexus: Nexus, operator: Account, web_tenancy: Tenancy, arguments: tuple[str, ...], complaint: str
) -> None:
    outcome = nexus(*arguments)

    assert outcome.code == 2
    assert complaint in outcome.err
    assert controls.pauses(web_tenancy.platform) == []


def test_limits_out_of_bounds_are_told_with_their_field(nexus: Nexus, operator: Account, pooled_tenant: UUID) -> None:
    outcome = nexus("tenants", "limits", str(pooled_tenant), "--weight", "0")

    assert outcome.code == 2
    assert "/weight" in outcome.err
    assert nexus("tenants", "limits", str(pooled_tenant), "--json").json["updated_at"] is None


@pytest.mark.parametrize(
    "arguments", [("queues", "list"), ("kinds", "list"), ("workers",), ("queues", "pause", "search")]
)
def test_who_is_no_operator_is_refused(nexus: Nexus, logged_in: Account, arguments: tuple[str, ...]) -> None:
    outcome = nexus(*arguments)

    assert outcome.code == 2
    assert "[permission_denied]" in outcome.err


def test_top_shows_queues_kinds_and_workers_at_a_look(nexus: Nexus, operator: Account, leading: None) -> None:
    seen = nexus("top", "--once", "--json")
    assert seen.code == 0, seen.err
    assert {each["name"] for each in seen.json["queues"]} == set(QUEUES)
    drawn = nexus("top", "--once")
    assert drawn.code == 0, drawn.err
    assert all(name in drawn.out for name in QUEUES)
    assert "due" in drawn.out.splitlines()[0]
    assert all(title in drawn.out for title in ("tenants at work", "providers", "failures", "what runs"))


def test_top_is_for_operators(nexus: Nexus, logged_in: Account) -> None:
    assert nexus("top", "--once").code == 2

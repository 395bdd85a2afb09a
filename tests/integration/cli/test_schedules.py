"""`nexus schedules` from creation to deletion."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.integration.cli.conftest import Nexus

CREATE = ("schedules", "create", "morning ping", "system.ping", "30 7 * * MON-FRI", "--timezone", "Europe/Berlin")


def test_a_created_schedule_is_listed_and_shown(nexus: Nexus, acme: UUID) -> None:
    made = nexus(*CREATE, "--missed", "all", "--priority", "4", "--payload", '{"message": "hi"}', "--json").json
    shown = nexus("schedules", "show", made["id"], "--json")
    listed = nexus("schedules", "list", "--json")

    assert (made["missed"], made["priority"], made["payload"]["message"]) == ("all", 4, "hi")
    assert shown.json == made
    assert [found["id"] for found in listed.json["items"]] == [made["id"]]


def test_a_list_in_a_pipe_is_lines_of_cells(nexus: Nexus, acme: UUID) -> None:
    nexus(*CREATE)

    lines = nexus("schedules", "list").out.splitlines()

    assert lines[0].split("\t")[:4] == ["id", "name", "kind", "cron"]
    assert lines[1].split("\t")[1:5] == ["morning ping", "system.ping", "30 7 * * MON-FRI", "Europe/Berlin"]


def test_a_list_goes_on_where_the_page_ended(nexus: Nexus, acme: UUID) -> None:
    for name in ("one", "two"):
        nexus("schedules", "create", name, "system.ping", "@daily")

    first = nexus("schedules", "list", "--limit", "1", "--json").json
    rest = nexus("schedules", "list", "--cursor", first["next_cursor"], "--json").json

    assert [found["name"] for found in first["items"] + rest["items"]] == ["two", "one"]


def test_a_schedule_is_paused_resumed_run_and_deleted(nexus: Nexus, acme: UUID) -> None:
    schedule_id = nexus(*CREATE, "--json").json["id"]

    assert nexus("schedules", "pause", schedule_id, "--json").json["disabled_reason"] == "paused"
    assert nexus("schedules", "resume", schedule_id, "--json").json["enabled"] is True
    assert nexus("schedules", "run", schedule_id, "--json").json["kind"] == "system.ping"
    assert nexus("schedules", "delete", schedule_id).code == 0
    gone = nexus("schedules", "show", schedule_id)
    assert (gone.code, "[not_found]" in gone.err) == (2, True)


def test_a_preview_shows_the_next_firings(nexus: Nexus, acme: UUID) -> None:
    lines = nexus("schedules", "preview", "0 9 * * *", "--timezone", "Asia/Kathmandu", "--count", "2").out.splitlines()

    assert len(lines) == 3
    assert all("T03:15:00Z\t" in line and line.endswith("T09:00:00+05:45") for line in lines[1:])


@pytest.mark.parametrize(
    ("cron", "options", "says"),
    [
        ("61 * * * *", (), "/cron: "),
        ("@daily", ("--timezone", "Middle/Earth"), "/timezone: "),
        ("@daily", ("--payload", "[]"), "JSON object"),
        ("@daily", ("--missed", "some"), "--missed"),
    ],
)
def test_what_is_wrong_is_named(nexus: Nexus, acme: UUID, cron: str, options: tuple[str, ...], says: str) -> None:
    outcome = nexus("schedules", "create", "wrong", "system.ping", cron, *options)

    assert outcome.code == 2
    assert says in outcome.err


def test_an_id_that_is_none_leads_nowhere(nexus: Nexus, acme: UUID) -> None:
    assert "is no schedule id" in nexus("schedules", "delete", "preview/../x").err

"""`nexus jobs` from submission to replay."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest

from tenancy.access import Tenancy
from tests.integration.cli.conftest import Nexus
from tests.integration.web.test_jobs import finish, finish_soon


def test_a_submitted_job_can_be_shown(nexus: Nexus, acme: UUID) -> None:
    submitted = nexus("jobs", "submit", "system.ping", "--payload", '{"message": "hi"}', "--json")
    shown = nexus("jobs", "show", submitted.json["id"], "--json")

    assert submitted.code == shown.code == 0
    assert shown.json["id"] == submitted.json["id"]
    assert shown.json["state"] == "queued"


def test_the_payload_comes_from_a_file(nexus: Nexus, working: UUID, tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text(json.dumps({"message": "from a file"}))

    outcome = nexus("jobs", "submit", "system.ping", "--payload", f"@{file}", "--wait", "--json")

    assert outcome.code == 0
    assert outcome.lines[-1]["result"] == {"message": "from a file"}


def test_waiting_tells_each_change_and_the_end(nexus: Nexus, working: UUID) -> None:
    outcome = nexus("jobs", "submit", "system.ping", "--wait")

    assert outcome.code == 0
    assert outcome.err.splitlines()[-1].startswith("system.ping succeeded")
    assert "succeeded" in outcome.out


def test_a_job_that_succeeds_while_it_is_watched_is_code_0(nexus: Nexus, acme: UUID, engine_tenancy: Tenancy) -> None:
    job_id = nexus("jobs", "submit", "system.ping", "--json").json["id"]
    finish_soon(engine_tenancy, job_id)

    outcome = nexus("jobs", "watch", job_id, "--json")

    assert outcome.code == 0
    assert [seen["state"] for seen in outcome.lines] == ["queued", "succeeded"]


def test_a_job_that_failed_is_code_1(nexus: Nexus, acme: UUID, engine_tenancy: Tenancy) -> None:
    job_id = nexus("jobs", "submit", "system.ping", "--json").json["id"]
    finish(engine_tenancy, job_id, "failed")

    assert nexus("jobs", "watch", job_id).code == 1


def test_a_scheduled_job_waits_and_is_cancelled(nexus: Nexus, acme: UUID) -> None:
    job = nexus("jobs", "submit", "system.ping", "--run-at", "+1h", "--priority", "7", "--json").json
    cancelled = nexus("jobs", "cancel", job["id"], "--json")

    assert (job["state"], job["priority"]) == ("scheduled", 7)
    assert cancelled.json["state"] == "cancelled"
    assert nexus("jobs", "watch", job["id"]).code == 1


def test_one_idempotency_key_is_one_job(nexus: Nexus, acme: UUID) -> None:
    first, second = (nexus("jobs", "submit", "system.ping", "--idempotency-key", "k", "--json") for _ in range(2))

    assert first.json["id"] == second.json["id"]


def test_a_taken_unique_key_is_told_by_its_code(nexus: Nexus, acme: UUID) -> None:
    nexus("jobs", "submit", "system.ping", "--unique-key", "only")
    outcome = nexus("jobs", "submit", "system.ping", "--unique-key", "only")

    assert outcome.code == 2
    assert outcome.err.startswith("nexus: ")
    assert "[unique_key_taken]" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_payload_that_the_kind_refuses_names_the_field(nexus: Nexus, acme: UUID) -> None:
    outcome = nexus("jobs", "submit", "system.ping", "--payload", '{"seconds": 1000}')

    assert outcome.code == 2
    assert "/payload/seconds: " in outcome.err


def test_a_failed_job_is_replayed_as_a_new_one(nexus: Nexus, acme: UUID, engine_tenancy: Tenancy) -> None:
    job_id = nexus("jobs", "submit", "system.ping", "--json").json["id"]
    finish(engine_tenancy, job_id, "failed")

    again = nexus("jobs", "replay", job_id, "--json")

    assert again.code == 0
    assert again.json["replay_of"] == job_id


def test_a_list_is_filtered_and_goes_on_where_the_page_ended(nexus: Nexus, acme: UUID) -> None:
    ids = [nexus("jobs", "submit", "system.ping", "--json").json["id"] for _ in range(3)]
    nexus("jobs", "cancel", ids[0])

    first = nexus("jobs", "list", "--state", "queued", "--limit", "1", "--json").json
    rest = nexus("jobs", "list", "--state", "queued", "--limit", "1", "--cursor", first["next_cursor"], "--json").json

    assert [job["id"] for job in first["items"] + rest["items"]] == [ids[2], ids[1]]
    assert rest["next_cursor"] is None


def test_all_pages_are_one_list(nexus: Nexus, acme: UUID) -> None:
    ids = [nexus("jobs", "submit", "system.ping", "--json").json["id"] for _ in range(3)]

    listed = nexus(
        "jobs", "list", "--all", "--limit", "1", "--oldest-first", "--since", "2020-01-01T00:00:00Z", "--json"
    )

    assert [job["id"] for job in listed.json["items"]] == ids


def test_a_list_in_a_pipe_is_lines_of_cells(nexus: Nexus, acme: UUID) -> None:
    nexus("jobs", "submit", "system.ping")

    lines = nexus("jobs", "list").out.splitlines()

    assert lines[0].split("\t")[:3] == ["id", "kind", "state"]
    assert lines[1].split("\t")[1:3] == ["system.ping", "queued"]


def test_another_tenants_job_is_not_found(nexus: Nexus, acme: UUID) -> None:
    outcome = nexus("jobs", "show", str(acme))

    assert outcome.code == 2
    assert "[not_found]" in outcome.err


def test_a_forged_key_is_refused_in_a_line(nexus: Nexus, acme: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_API_KEY", "nxk_forged")
    outcome = nexus("jobs", "list")

    assert outcome.code == 2
    assert "[unauthenticated]" in outcome.err


def test_a_file_of_jobs_is_submitted_with_a_result_for_each_line(nexus: Nexus, acme: UUID, tmp_path: Path) -> None:
    file = tmp_path / "jobs.ndjson"
    lines = [{"payload": {"message": "a\u2028b"}}, {"payload": {"nope": 1}}, {"kind": "system.ping", "priority": 4}]
    file.write_text("\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")

    outcome = nexus("jobs", "submit", "system.ping", "--file", str(file), "--json")
    told = nexus("jobs", "submit", "system.ping", "--file", str(file))

    assert (outcome.code, told.code) == (1, 1)
    assert [(line["line"], line["status"], line["code"]) for line in outcome.lines] == [
        (1, 202, None), (3, 422, "invalid_payload"), (5, 202, None),
    ]  # fmt: skip
    assert "2 accepted, 1 refused" in outcome.err
    assert "line 3: invalid_payload" in told.err
    assert "/payload/nope" in told.err
    assert len(told.out.splitlines()) == 2


def test_a_large_file_goes_in_several_requests_and_once_per_key(nexus: Nexus, acme: UUID, tmp_path: Path) -> None:
    file = tmp_path / "jobs.ndjson"
    file.write_text("".join('{"kind": "system.ping"}\n' for _ in range(1100)))
    first, again = (
        nexus("jobs", "submit", "--file", str(file), "--idempotency-key", "import", "--json") for _ in range(2)
    )

    assert first.code == again.code == 0
    assert len({line["id"] for line in first.lines}) == 1100
    assert [line["id"] for line in first.lines] == [line["id"] for line in again.lines]


@pytest.mark.parametrize(
    ("text", "says"), [("", "holds no jobs"), ('{"kind": "a"}\nno json', "line 2"), ("[]", "line 1"), ("\0", "line 1")]
)
def test_a_file_that_is_wrong_sends_nothing(nexus: Nexus, acme: UUID, tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "jobs.ndjson"
    file.write_text(text)

    outcome = nexus("jobs", "submit", "--file", str(file))

    assert outcome.code == 2
    assert says in outcome.err
    assert nexus("jobs", "list", "--json").json["items"] == []


def test_failed_jobs_are_replayed_by_filter_after_a_preview(nexus: Nexus, acme: UUID, engine_tenancy: Tenancy) -> None:
    old = [nexus("jobs", "submit", "system.ping", "--json").json["id"] for _ in range(2)]
    for job_id in old:
        finish(engine_tenancy, job_id, "failed")

    preview = nexus("jobs", "replay", "--failed", "--kind", "system.ping", "--dry-run", "--json")
    done = nexus("jobs", "replay", "--failed", "--kind", "system.ping", "--yes", "--json")
    nothing = nexus("jobs", "replay", "--failed", "--yes")

    assert preview.json == done.lines[0] == {"found": 2, "kinds": {"system.ping": 2}}
    assert [line["replay_of"] for line in done.lines[1:]] == old
    assert "2 replayed, 0 refused" in done.err
    assert (nothing.code, nothing.out.splitlines()[-1]) == (0, "all\t0")


def test_a_replay_that_nobody_agrees_to_does_nothing(nexus: Nexus, acme: UUID, engine_tenancy: Tenancy) -> None:
    job_id = nexus("jobs", "submit", "system.ping", "--json").json["id"]
    finish(engine_tenancy, job_id, "failed")

    assert nexus("jobs", "replay", "--failed").code != 0
    assert len(nexus("jobs", "list", "--json").json["items"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay",),
        ("replay", "0198f0aa-0000-7000-8000-000000000001", "--failed"),
        ("replay", "--failed", "--wait"),
        ("replay", "--kind", "system.ping"),
        ("submit",),
        ("submit", "system.ping", "--file", "x", "--payload", "{}"),
        ("submit", "--file", "/nowhere/jobs.ndjson"),
    ],
)
def test_options_that_do_not_go_together_are_refused(nexus: Nexus, acme: UUID, arguments: tuple[str, ...]) -> None:
    assert nexus("jobs", *arguments).code == 2


def test_a_follow_up_waits_for_others_and_a_unique_key_can_be_taken_over(nexus: Nexus, acme: UUID) -> None:
    first = nexus("jobs", "submit", "system.ping", "--unique-key", "u", "--run-at", "+1h", "--json").json["id"]
    waiting = nexus("jobs", "submit", "system.ping", "--after", first, "--parent", first, "--json").json
    again = nexus("jobs", "submit", "system.ping", "--unique-key", "u", "--replace", "--json").json

    assert (waiting["state"], waiting["run_at"], waiting["parent_id"]) == ("scheduled", None, first)
    assert (again["id"], again["state"]) == (first, "queued")

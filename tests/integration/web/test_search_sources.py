"""HTTP sources as a resource: what is kept, what is shown, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from domain.ids import new_id
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, pointers_of, program

SOURCES = "/api/v1/search/sources"
WIKI = {"name": "wiki", "url": "https://wiki.example.com/search"}
SECRET = "Bearer correct-horse-battery"


def made(caller: Caller, **fields: Any) -> Any:
    answer = caller.post(SOURCES, json={**WIKI, **fields})
    assert answer.status_code == 201, answer.text
    return answer


def test_a_source_is_kept_with_its_defaults(caller: Caller) -> None:
    created = made(caller)

    assert created.json.items() >= {
        **WIKI, "enabled": True, "weight": 1.0, "timeout_ms": 3000, "concurrency": 8, "permission": None,
        "header_name": "Authorization", "secret_last_four": None,
    }.items()  # fmt: skip
    read = caller.get(created.headers["Location"])
    assert (read.status_code, read.json, read.headers["ETag"]) == (200, created.json, created.headers["ETag"])
    assert all_of(caller, SOURCES) == [created.json]


def test_a_secret_is_never_shown(caller: Caller, engine_tenancy: Tenancy) -> None:
    created = made(caller, secret=SECRET)

    assert created.json["secret_last_four"] == "tery"
    for answer in (created, caller.get(created.headers["Location"]), caller.get(SOURCES), caller.get("/api/v1/audit")):
        assert answer.status_code in {200, 201}
        assert SECRET not in answer.text
    with engine_tenancy.session(caller.tenant_id) as session:
        row = session.connection().exec_driver_sql("SELECT t::text FROM search_sources t").scalar_one()
    assert "correct" not in row
    assert SECRET.encode().hex() not in row


def test_nothing_is_shown_of_a_short_secret(caller: Caller) -> None:
    assert made(caller, secret="12345678901").json["secret_last_four"] == ""


def test_a_secret_stays_with_its_server(caller: Caller) -> None:
    created = made(caller, secret=SECRET)
    address, etag = created.headers["Location"], created.headers["ETag"]

    same = caller.put(address, json={**WIKI, "url": "https://wiki.example.com/v2"}, headers={"If-Match": etag})
    other = {**WIKI, "url": "https://evil.example.com/search"}
    carried = caller.put(address, json=other, headers={"If-Match": same.headers["ETag"]})
    without = caller.put(address, json={**other, "secret": None}, headers={"If-Match": same.headers["ETag"]})

    assert (same.status_code, same.json["secret_last_four"]) == (200, "tery")
    assert (code_of(carried), pointers_of(carried)) == ((422, "invalid_payload"), ["/secret"])
    assert (without.status_code, without.json["secret_last_four"]) == (200, None)


def test_an_edit_needs_the_version_that_was_read(caller: Caller) -> None:
    created = made(caller)
    address, etag = created.headers["Location"], created.headers["ETag"]

    assert code_of(caller.put(address, json=WIKI)) == (428, "precondition_required")
    assert caller.put(address, json={**WIKI, "weight": 2}, headers={"If-Match": etag}).json["weight"] == 2.0
    assert code_of(caller.put(address, json=WIKI, headers={"If-Match": etag})) == (412, "precondition_failed")
    assert caller.get(address).json["weight"] == 2.0


def test_a_name_is_taken_once(caller: Caller) -> None:
    made(caller)
    other = made(caller, name="other")

    assert code_of(caller.post(SOURCES, json=WIKI)) == (409, "conflict")
    renamed = caller.put(other.headers["Location"], json=WIKI, headers={"If-Match": other.headers["ETag"]})
    assert code_of(renamed) == (409, "conflict")


def test_the_same_idempotency_key_registers_once(caller: Caller) -> None:
    answers = [caller.post(SOURCES, json=WIKI, headers={"Idempotency-Key": "k"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json == answers[1].json
    assert len(all_of(caller, SOURCES)) == 1


def test_a_deleted_source_is_gone(caller: Caller) -> None:
    address = made(caller).headers["Location"]

    assert caller.delete(address).status_code == 204
    assert code_of(caller.get(address)) == (404, "not_found")
    assert code_of(caller.delete(address)) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "documents"}, "/name"), ({"name": "users"}, "/name"), ({"name": "Wiki"}, "/name"), ({"name": ""}, "/name"),
        ({"url": "http://wiki.example.com/"}, "/url"), ({"url": "https://127.0.0.1/"}, "/url"),
        ({"url": "https://169.254.169.254/latest"}, "/url"), ({"url": "https://localhost/"}, "/url"),
        ({"url": "https://user:pass@wiki.example.com/"}, "/url"), ({"url": "ftp://wiki.example.com/"}, "/url"),
        ({"url": "https://2130706433/"}, "/url"), ({"url": "https://[::1]/"}, "/url"),
        ({"weight": 0}, "/weight"), ({"weight": 101}, "/weight"), ({"weight": "NaN"}, "/weight"),
        ({"timeout_ms": 49}, "/timeout_ms"), ({"timeout_ms": 30_001}, "/timeout_ms"), ({"timeout_ms": "1s"}, "/timeout_ms"),
        ({"concurrency": 0}, "/concurrency"), ({"concurrency": 65}, "/concurrency"),
        ({"permission": "no:such"}, "/permission"), ({"enabled": "perhaps"}, "/enabled"),
        ({"header_name": "Host"}, "/header_name"), ({"header_name": "X Y"}, "/header_name"),
        ({"header_name": "Content-Length"}, "/header_name"), ({"header_name": "X\r\nY"}, "/header_name"),
        ({"secret": "a\r\nX-Other: b"}, "/secret"), ({"secret": ""}, "/secret"), ({"secret": "schlüssel"}, "/secret"),
        ({"colour": "red"}, "/colour"),
    ],
)  # fmt: skip
def test_a_bad_source_is_refused_and_nothing_changes(caller: Caller, body: dict[str, Any], pointer: str) -> None:
    refused = caller.post(SOURCES, json={**WIKI, **body})

    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]
    assert all_of(caller, SOURCES) == []


def test_another_tenants_source_is_not_there(caller: Caller, stranger: Caller) -> None:
    created = made(caller)
    address, match = created.headers["Location"], {"If-Match": created.headers["ETag"]}

    assert code_of(stranger.get(address)) == (404, "not_found")
    assert code_of(stranger.put(address, json=WIKI, headers=match)) == (404, "not_found")
    assert code_of(stranger.delete(address)) == (404, "not_found")
    assert all_of(stranger, SOURCES) == []
    assert made(stranger).status_code == 201, "its name is free in another tenant"
    assert caller.get(address).json == created.json


def test_each_verb_needs_its_own_permission(caller: Caller, web_tenancy: Tenancy) -> None:
    reader = program(caller, web_tenancy, "search_source:read")
    address = f"{SOURCES}/{new_id()}"

    assert code_of(reader.post(SOURCES, json=WIKI)) == (403, "permission_denied")
    assert code_of(reader.put(address, json=WIKI)) == (403, "permission_denied")
    assert code_of(reader.delete(address)) == (403, "permission_denied")
    assert code_of(reader.get(address)) == (404, "not_found")
    assert code_of(program(caller, web_tenancy, "search:create").get(SOURCES)) == (403, "permission_denied")


def test_changes_are_noted_without_the_secret(caller: Caller) -> None:
    created = made(caller, secret=SECRET)
    caller.put(created.headers["Location"], json={**WIKI, "weight": 2, "secret": SECRET + "!"},
               headers={"If-Match": created.headers["ETag"]})  # fmt: skip
    caller.delete(created.headers["Location"])

    entries = [each for each in all_of(caller, "/api/v1/audit") if each["action"].startswith("search_source.")]

    assert [each["action"].partition(".")[2] for each in entries] == ["deleted", "updated", "created"]
    assert (entries[1]["after"]["weight"], entries[1]["after"]["secret_sealed"]) == (2, "[redacted]")
    assert SECRET not in str(entries)

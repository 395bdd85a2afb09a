"""Documents: what a tenant puts, it finds again; what another tenant has, it does not see."""

from __future__ import annotations

import pytest

from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, pointers_of, program

DOCUMENT = {"title": "Travel expenses", "body": "What is paid, and how to ask for it.", "language": "english"}

# Each address is three entries of the index: the address, its host and its path.
TOO_MANY_WORDS = " ".join(f"x{number:05x}.com/y{number:05x}" for number in range(26_000))


def test_a_new_document_is_created_and_read_back(caller: Caller) -> None:
    put = caller.put("/api/v1/search/documents/handbook-12", json=DOCUMENT)
    assert put.status_code == 201
    read = caller.get("/api/v1/search/documents/handbook-12")
    assert read.status_code == 200
    assert read.json == put.json
    assert read.json["external_id"] == "handbook-12"
    assert read.json["language"] == "english"
    assert read.json["created_at"].endswith("Z")
    assert read.json["metadata"] == {}
    assert read.headers["ETag"] == put.headers["ETag"] == '"1"'


def test_putting_the_same_name_again_replaces_the_document(caller: Caller) -> None:
    first = caller.put("/api/v1/search/documents/handbook-12", json=DOCUMENT).json
    again = caller.put("/api/v1/search/documents/handbook-12", json={"title": "New", "body": "Other words."})
    assert again.status_code == 200
    assert again.json["id"] == first["id"]
    assert again.json["title"] == "New"
    assert again.json["language"] == "simple"
    assert again.json["updated_at"] > first["updated_at"]


def test_a_name_may_hold_slashes_and_any_letters(caller: Caller) -> None:
    assert caller.put("/api/v1/search/documents/docs/a/%C3%BC%20b", json=DOCUMENT).status_code == 201
    assert caller.get("/api/v1/search/documents/docs/a/%C3%BC%20b").json["external_id"] == "docs/a/ü b"


def test_a_deleted_document_is_gone(caller: Caller) -> None:
    caller.put("/api/v1/search/documents/handbook-12", json=DOCUMENT)
    gone = caller.delete("/api/v1/search/documents/handbook-12")
    assert gone.status_code == 204
    assert gone.data == b""
    assert code_of(caller.get("/api/v1/search/documents/handbook-12")) == (404, "not_found")
    assert code_of(caller.delete("/api/v1/search/documents/handbook-12")) == (404, "not_found")


@pytest.mark.parametrize("name", ["x" * 201, "a%00b"])
def test_a_name_that_cannot_be_kept_is_refused(caller: Caller, name: str) -> None:
    assert code_of(caller.put(f"/api/v1/search/documents/{name}", json=DOCUMENT)) == (422, "invalid_payload")
    assert code_of(caller.get(f"/api/v1/search/documents/{name}")) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"body": "x"}, "/title"),
        ({**DOCUMENT, "extra": 1}, "/extra"),
        ({**DOCUMENT, "language": "klingon"}, "/language"),
        ({**DOCUMENT, "url": "ftp://example.com/x"}, "/url"),
        ({**DOCUMENT, "title": "a\0b"}, "/title"),
        ({**DOCUMENT, "metadata": {"Kind": "memo"}}, "/metadata/Kind"),
        ({**DOCUMENT, "metadata": {"kind": ["memo"]}}, "/metadata/kind"),
        ({**DOCUMENT, "metadata": {"year": 10**400}}, "/metadata/year"),
        ({**DOCUMENT, "metadata": {f"f{number}": 1 for number in range(51)}}, "/metadata"),
    ],
)
def test_a_bad_document_is_refused_and_nothing_changes(caller: Caller, body: dict[str, object], pointer: str) -> None:
    refused = caller.put("/api/v1/search/documents/handbook-12", json=body)
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]
    assert caller.get("/api/v1/search/documents/handbook-12").status_code == 404


def test_metadata_is_kept_as_it_was_put(caller: Caller) -> None:
    metadata = {"kind": "memo", "year": 2024, "share": 0.5, "open": True}
    assert (
        caller.put("/api/v1/search/documents/a", json={**DOCUMENT, "metadata": metadata}).json["metadata"] == metadata
    )
    assert caller.get("/api/v1/search/documents/a").json["metadata"] == metadata


def test_an_edit_of_a_version_that_is_gone_is_refused_and_changes_nothing(caller: Caller) -> None:
    path = "/api/v1/search/documents/a"
    tag = caller.put(path, json=DOCUMENT, headers={"If-None-Match": "*"}).headers["ETag"]
    second = caller.put(path, json={**DOCUMENT, "title": "Second"}, headers={"If-Match": tag})
    assert (second.status_code, second.json["version"], second.headers["ETag"]) == (200, 2, '"2"')
    stale = caller.put(path, json={**DOCUMENT, "title": "Third"}, headers={"If-Match": tag})
    assert code_of(stale) == (412, "precondition_failed")
    again = caller.put(path, json=DOCUMENT, headers={"If-None-Match": "*"})
    assert code_of(again) == (412, "precondition_failed")
    assert caller.get(path).json["title"] == "Second"
    nowhere = caller.put("/api/v1/search/documents/b", json=DOCUMENT, headers={"If-Match": "*"})
    assert code_of(nowhere) == (412, "precondition_failed")
    assert caller.get("/api/v1/search/documents/b").status_code == 404


def test_documents_are_listed_in_pages_without_their_bodies(caller: Caller) -> None:
    for name in "abc":
        caller.put(f"/api/v1/search/documents/{name}", json=DOCUMENT)
    items = all_of(caller, "/api/v1/search/documents", limit="2")
    assert [item["external_id"] for item in items] == ["c", "b", "a"]
    assert all("body" not in item for item in items)
    assert [item["external_id"] for item in all_of(caller, "/api/v1/search/documents", sort="created_at")] == [
        "a",
        "b",
        "c",
    ]


def test_a_document_that_the_index_cannot_hold_is_refused(caller: Caller) -> None:
    refused = caller.put("/api/v1/search/documents/handbook-12", json={"title": "Big", "body": TOO_MANY_WORDS})
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == ["/body"]
    assert caller.get("/api/v1/search/documents/handbook-12").status_code == 404


def test_bulk_tells_the_fate_of_every_item(caller: Caller) -> None:
    caller.put("/api/v1/search/documents/b", json=DOCUMENT)
    items = [
        {"external_id": "a", **DOCUMENT},
        {"external_id": "b", **DOCUMENT, "title": "Replaced"},
        {"external_id": "c", "title": "No body"},
        {"external_id": "a", **DOCUMENT, "title": "Twice"},
        {"title": "No name", "body": ""},
    ]
    bulk = caller.post("/api/v1/search/documents/bulk", json={"items": items})
    assert bulk.status_code == 200
    answer = bulk.json
    assert [item["status"] for item in answer["items"]] == ["created", "replaced", "refused", "refused", "refused"]
    assert [item["index"] for item in answer["items"]] == [0, 1, 2, 3, 4]
    assert [error["pointer"] for item in answer["items"] for error in item["errors"]] == [
        "/items/2/body", "/items/3/external_id", "/items/4/external_id",
    ]  # fmt: skip
    assert (answer["created"], answer["replaced"], answer["refused"]) == (1, 1, 3)
    assert caller.get("/api/v1/search/documents/a").json["title"] == "Travel expenses"
    assert caller.get("/api/v1/search/documents/b").json["title"] == "Replaced"
    assert caller.get("/api/v1/search/documents/c").status_code == 404


def test_one_item_that_the_index_cannot_hold_does_not_hold_up_the_others(caller: Caller) -> None:
    items = [{"external_id": f"d{number}", **DOCUMENT} for number in range(6)]
    items[4] = {"external_id": "d4", "title": "Big", "body": TOO_MANY_WORDS}
    answer = caller.post("/api/v1/search/documents/bulk", json={"items": items}).json
    assert [item["status"] for item in answer["items"]] == ["created"] * 4 + ["refused"] + ["created"]
    assert answer["items"][4]["errors"][0]["pointer"] == "/items/4/body"
    assert caller.get("/api/v1/search/documents/d5").status_code == 200
    assert caller.get("/api/v1/search/documents/d4").status_code == 404


def test_bulk_takes_a_thousand_items_and_no_more(caller: Caller) -> None:
    items = [{"external_id": f"d{number}", "title": "T", "body": "b"} for number in range(1001)]
    assert code_of(caller.post("/api/v1/search/documents/bulk", json={"items": items})) == (422, "invalid_payload")
    assert caller.post("/api/v1/search/documents/bulk", json={"items": items[:1000]}).json["created"] == 1000


def test_another_tenants_document_is_neither_seen_nor_touched(caller: Caller, stranger: Caller) -> None:
    caller.put("/api/v1/search/documents/shared-name", json=DOCUMENT)
    assert code_of(stranger.get("/api/v1/search/documents/shared-name")) == (404, "not_found")
    assert code_of(stranger.delete("/api/v1/search/documents/shared-name")) == (404, "not_found")
    assert stranger.put("/api/v1/search/documents/shared-name", json={"title": "Theirs", "body": ""}).status_code == 201
    assert caller.get("/api/v1/search/documents/shared-name").json["title"] == "Travel expenses"


def test_bulk_is_a_name_like_any_other(caller: Caller) -> None:
    assert caller.put("/api/v1/search/documents/bulk", json=DOCUMENT).status_code == 201
    assert caller.get("/api/v1/search/documents/bulk").json["external_id"] == "bulk"


def test_each_verb_needs_its_own_permission(caller: Caller, web_tenancy: Tenancy) -> None:
    reader = program(caller, web_tenancy, "document:read")
    assert code_of(reader.put("/api/v1/search/documents/a", json=DOCUMENT)) == (403, "permission_denied")
    assert code_of(reader.delete("/api/v1/search/documents/a")) == (403, "permission_denied")
    assert code_of(reader.post("/api/v1/search/documents/bulk", json={"items": []})) == (403, "permission_denied")
    assert code_of(reader.get("/api/v1/search/documents/a")) == (404, "not_found")
    writer = program(caller, web_tenancy, "document:create")
    assert code_of(writer.get("/api/v1/search/documents")) == (403, "permission_denied")

"""Every operation of the OpenAPI document, asked by another tenant: 404, nothing told, and not a row changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from flask import Flask

from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import program
from tests.integration.web.possessions import BODIES, OF_THE_PLATFORM, Ids, picture, possess
from web.auth import Access, access_of
from web.openapi import EXTENSION, openapi_path

_NAME = re.compile(r"\{([a-z_]+)\}")

ANYBODYS = {"external_id"}
"""Names that each tenant gives to things of its own. Writing one makes the writer's own thing."""

OWN_ACCOUNT = "/api/v1/billing/"
"""What the platform bills the caller's tenant for: kept in the operator's tenant, which has no database here, so all of it
answers 409. That nobody else's tenant can be selected is asked of these routes too."""

ENDS_THE_CALLER = {"logout", "logout_all"}
"""They end the session of whoever calls them, in any tenant."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that asks for credentials."""

    id: str
    method: str
    path: str
    has_body: bool
    access: Access

    @property
    def names(self) -> list[str]:
        """What its path names."""
        return _NAME.findall(self.path)

    def address(self, ids: Ids) -> str:
        """Its path with these ids."""
        return _NAME.sub(lambda found: ids[found[1]], self.path)

    def call(self, caller: Caller, ids: Ids) -> Any:
        """Its answer. What has a name of anybody's choice is put as something new."""
        edits = self.method == "PUT" and not set(self.names) & ANYBODYS
        headers = {**caller.headers, "Prefer": "respond-async"} | ({"If-Match": '"1"'} if edits else {})
        body = {"json": BODIES.get(self.id, {})} if self.has_body else {}
        return caller.client.open(self.address(ids), method=self.method, headers=headers, **body)


@pytest.fixture
def operations(app: Flask) -> list[Operation]:
    """All that ask for credentials."""
    return list(_operations(app))


def _operations(app: Flask) -> Iterator[Operation]:
    document = app.extensions[EXTENSION]
    for rule in app.url_map.iter_rules():
        for method, operation in document["paths"].get(openapi_path(rule), {}).items():
            if method.upper() not in (rule.methods or ()):
                continue
            access = access_of(app.view_functions[rule.endpoint], method)
            if access is not None and access.needs_credentials:
                has_body = "requestBody" in operation
                yield Operation(operation["operationId"], method.upper(), openapi_path(rule), has_body, access)


@pytest.fixture
def ids(caller: Caller, stranger: Caller, engine_tenancy: Tenancy) -> Ids:
    """What the first tenant owns. The other is made before: in one thread, an origin of audited changes outlives a request."""
    return possess(caller, engine_tenancy)


def test_every_name_in_a_path_is_of_a_thing_that_the_first_tenant_owns(operations: list[Operation], ids: Ids) -> None:
    unknown = {name: each.path for each in operations for name in each.names if name not in ids}

    assert unknown == {}, "make one of each in possessions.py, so that the matrix covers its routes"


def test_the_owner_reads_each_of_them(operations: list[Operation], ids: Ids, caller: Caller) -> None:
    """Otherwise the strangers' 404 would say nothing."""
    found = {each.path: each.call(caller, ids).status_code for each in operations
             if each.method == "GET" and each.access.kind == "permission" and not each.path.startswith(OWN_ACCOUNT)}  # fmt: skip

    assert len(found) > 25
    assert {path: status for path, status in found.items() if status != 200} == {}


def test_things_of_another_tenant_are_not_there_and_stay_as_they_are(
    operations: list[Operation], ids: Ids, caller: Caller, stranger: Caller, engine_tenancy: Tenancy
) -> None:
    owned = [each for each in operations if set(each.names) - set(OF_THE_PLATFORM) - ANYBODYS
             and not each.path.startswith(OWN_ACCOUNT)]  # fmt: skip
    before = picture(engine_tenancy, caller)
    expected = {each.id: 403 if each.access.kind == "operator" else 404 for each in owned}
    answers = {each.id: each.call(stranger, ids) for each in owned}
    found = {name: answer.status_code for name, answer in answers.items()}
    writes_its_own = {each.id for each in owned if set(each.names) <= ANYBODYS and each.method == "PUT"}

    assert len(owned) > 25
    assert {name: status for name, status in found.items() if status != expected[name]} == dict.fromkeys(
        writes_its_own, 201
    )
    assert picture(engine_tenancy, caller) == before
    assert [name for name, answer in answers.items() if "Secret" in answer.text or "ada@" in answer.text] == []


def test_a_name_that_another_tenant_gave_is_free(
    operations: list[Operation], ids: Ids, caller: Caller, stranger: Caller, engine_tenancy: Tenancy
) -> None:
    """Reading and deleting find nothing; writing makes a thing of one's own under the same name."""
    named = sorted((each for each in operations if set(each.names) & ANYBODYS), key=lambda each: each.method == "PUT")
    before = picture(engine_tenancy, caller)
    found = {each.id: each.call(stranger, ids).status_code for each in named}

    assert found == {each.id: 201 if each.method == "PUT" else 404 for each in named}
    assert picture(engine_tenancy, caller) == before


@pytest.mark.parametrize("credential", ["token", "key"])
def test_who_selects_a_tenant_that_is_not_theirs_is_told_that_there_is_none(
    operations: list[Operation], ids: Ids, caller: Caller, stranger: Caller, engine_tenancy: Tenancy, credential: str
) -> None:
    """On every route, lists and creations too, whatever else the request holds."""
    who = stranger if credential == "token" else program(stranger, engine_tenancy, "job:read", "job:create")
    intruder = replace(who, headers={**who.headers, "X-Project-ID": str(caller.tenant_id)})
    before = picture(engine_tenancy, caller)
    found = {each.id: each.call(intruder, ids).status_code for each in operations if each.id not in ENDS_THE_CALLER}

    assert len(found) > 60
    assert {name: status for name, status in found.items() if status != 404} == {}
    assert picture(engine_tenancy, caller) == before


def test_no_list_of_a_tenant_holds_anything_of_another(
    operations: list[Operation], ids: Ids, caller: Caller, stranger: Caller
) -> None:
    secrets = {value for name, value in ids.items() if name not in OF_THE_PLATFORM}
    lists = [each for each in operations if each.method == "GET" and not each.names and each.access.kind != "operator"]
    told = {
        each.path: sorted(secret for secret in secrets if secret in each.call(stranger, ids).text) for each in lists
    }

    assert len(lists) > 15
    assert {path: found for path, found in told.items() if found} == {}


def test_a_thing_of_another_tenant_is_not_reached_through_ones_own(
    ids: Ids, caller: Caller, stranger: Caller, engine_tenancy: Tenancy
) -> None:
    """Ids in bodies: a parent, a job to wait for, an endpoint to tell."""
    before = picture(engine_tenancy, caller)
    new = {"kind": "system.ping", "payload": {}}
    statuses = {
        name: stranger.post("/api/v1/jobs", json={**new, name: value}).status_code
        for name, value in (
            ("parent_id", ids["job_id"]), ("after", [ids["job_id"]]), ("webhook_endpoint_id", ids["endpoint_id"]),
        )
    }  # fmt: skip

    assert set(statuses.values()) <= {404, 409, 422}, statuses
    assert picture(engine_tenancy, caller) == before

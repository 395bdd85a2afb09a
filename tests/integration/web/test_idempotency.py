"""Repeated requests, at every point where the first may have crashed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, Response, request

from config.settings import Settings
from domain.errors import Conflict
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope
from tests.integration.web.callers import Caller, access_token
from web.app import create_app
from web.auth import authenticated, can
from web.idempotency import idempotent, new_resource_id

KEY = {"Idempotency-Key": "order-1"}

_AGE = "UPDATE idempotent_requests SET created_at = now() - %(seconds)s * interval '1 second' WHERE key = 'order-1'"


@dataclass
class Things:
    """What a route has made: a stand-in for rows in whichever database, keyed by the id that the frame reserves."""

    made: dict[UUID, str] = field(default_factory=dict)
    runs: int = 0
    fails_before: Exception | None = None
    fails_after: Exception | None = None


@pytest.fixture(scope="module")
def things_app(settings: Settings) -> Iterator[tuple[Flask, Things]]:
    """An app with two more routes that create."""
    app, things = create_app(settings), Things()

    def create() -> Response:
        things.runs += 1
        if things.fails_before is not None:
            raise things.fails_before
        thing_id = new_resource_id()
        things.made.setdefault(thing_id, request.get_data(as_text=True))
        if things.fails_after is not None:
            raise things.fails_after
        response = Response(f'{{"id":"{thing_id}","run":{things.runs}}}', status=201, mimetype="application/json")
        response.headers["Location"] = f"/things/{thing_id}"
        return response

    app.add_url_rule("/things", "things", can("plan:create")(idempotent(create)), methods=["POST"])
    app.add_url_rule("/own", "own", authenticated(idempotent(create)), methods=["POST"])
    yield app, things
    app.extensions["nexus.tenancy"].dispose()


@pytest.fixture
def things(things_app: tuple[Flask, Things]) -> Things:
    fresh = Things()
    things_app[1].__dict__.update(fresh.__dict__)
    return things_app[1]


@pytest.fixture
def post(things_app: tuple[Flask, Things], caller: Caller) -> Callable[..., Any]:
    """Posts a thing as the owner of the tenant."""

    def send(
        body: str = "{}", headers: dict[str, str] | None = None, path: str = "/things", who: Caller = caller
    ) -> Any:
        return things_app[0].test_client().post(path, data=body, headers={**who.headers, **(headers or KEY)})

    return send


def age(tenancy: Tenancy, caller: Caller, seconds: int) -> None:
    """Let the recorded request lie back in time."""
    tenancy.platform.fetch(_AGE, {"seconds": seconds}, tenant_scope(caller.tenant_id))


def test_a_repeated_request_gets_the_first_answer_and_makes_nothing(post: Callable[..., Any], things: Things) -> None:
    first, again = post(), post()

    assert (again.status_code, again.data, again.headers["Location"]) == (201, first.data, first.headers["Location"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert things.runs == 1


def test_without_a_key_every_request_makes_one(post: Callable[..., Any], things: Things) -> None:
    post(headers={"X": "y"})
    post(headers={"X": "y"})

    assert len(things.made) == 2


def test_the_key_with_another_body_is_refused(post: Callable[..., Any], things: Things) -> None:
    post()
    other = post('{"a": 1}')

    assert (other.status_code, other.json["code"]) == (422, "idempotency_mismatch")
    assert things.runs == 1


def test_another_caller_of_the_tenant_does_not_get_the_answer(
    post: Callable[..., Any], things: Things, sign_in: Callable[..., Caller], caller: Caller
) -> None:
    post()
    other = post(who=sign_in(caller.tenant_id, role="admin"))

    assert (other.status_code, other.json["code"]) == (422, "idempotency_mismatch")
    assert things.runs == 1


def test_keys_of_tenants_are_apart(post: Callable[..., Any], things: Things, stranger: Caller) -> None:
    first, other = post(), post(who=stranger)

    assert (first.status_code, other.status_code, len(things.made)) == (201, 201, 2)


def test_a_request_that_was_refused_may_be_corrected(post: Callable[..., Any], things: Things) -> None:
    things.fails_before = Conflict("Not now.")
    refused = post()
    things.fails_before = None

    assert (refused.status_code, post('{"better": 1}').status_code) == (409, 201)


def test_while_the_first_request_is_at_work_the_second_is_told(
    post: Callable[..., Any], things: Things, web_tenancy: Tenancy, caller: Caller
) -> None:
    things.fails_after = KeyboardInterrupt()  # the process dies: nothing is cleaned up
    with pytest.raises(KeyboardInterrupt):
        post()
    things.fails_after = None
    again = post()

    assert (again.status_code, again.json["code"]) == (409, "idempotency_in_progress")
    assert int(again.headers["Retry-After"]) >= 1
    assert things.runs == 1


def test_after_a_crash_behind_the_effect_the_repetition_finds_what_was_made(
    post: Callable[..., Any], things: Things, web_tenancy: Tenancy, caller: Caller
) -> None:
    things.fails_after = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        post()
    things.fails_after = None
    age(web_tenancy, caller, 61)
    again = post()

    assert (again.status_code, things.runs, len(things.made)) == (201, 2, 1)
    assert post().data == again.data


def test_after_a_crash_before_the_effect_the_repetition_makes_it_once(
    post: Callable[..., Any], things: Things, web_tenancy: Tenancy, caller: Caller
) -> None:
    things.fails_before = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        post()
    things.fails_before = None
    age(web_tenancy, caller, 61)

    assert (post().status_code, len(things.made)) == (201, 1)


def test_after_an_unknown_failure_the_repetition_runs_at_once_with_the_same_id(
    post: Callable[..., Any], things: Things
) -> None:
    things.fails_after = RuntimeError("the connection was lost at commit")
    failed = post()
    things.fails_after = None

    assert (failed.status_code, post().status_code, len(things.made)) == (500, 201, 1)


def test_an_answer_is_kept_for_a_day(
    post: Callable[..., Any], things: Things, web_tenancy: Tenancy, caller: Caller
) -> None:
    post()
    age(web_tenancy, caller, 23 * 3600)
    post()
    age(web_tenancy, caller, 25 * 3600)
    post()

    assert things.runs == 2


def test_recorded_answers_are_sealed(
    post: Callable[..., Any], things: Things, web_tenancy: Tenancy, caller: Caller
) -> None:
    answer = post()
    rows = web_tenancy.platform.fetch(
        "SELECT body_sealed FROM idempotent_requests WHERE key = 'order-1'", {}, tenant_scope(caller.tenant_id)
    )

    assert answer.json["id"].encode() not in bytes(rows[0]["body_sealed"])


def test_a_user_without_a_tenant_has_keys_too(
    things_app: tuple[Flask, Things], things: Things, web_tenancy: Tenancy, user: UUID
) -> None:
    app, _ = things_app
    headers = {"Authorization": f"Bearer {access_token(app, web_tenancy, user)}", **KEY}
    first, again = (app.test_client().post("/own", data="{}", headers=headers) for _ in range(2))

    assert (first.status_code, again.status_code, again.data, things.runs) == (201, 201, first.data, 1)

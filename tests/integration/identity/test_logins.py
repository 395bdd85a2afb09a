"""Registering, signing in, and slowing down whoever guesses."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from domain.ids import new_id
from tenancy.access import Tenancy
from tests.integration.identity.conftest import API, PASSWORD, Caller, Person, refused, tokens


def attempt(client: FlaskClient, email: str, password: str) -> Any:
    return client.post(f"{API}/auth/login", json={"email": email, "password": password})


def test_a_registered_account_can_sign_in_with_any_spelling_of_its_email(client: FlaskClient) -> None:
    name = f"ada-{new_id()}"
    account = {"email": f"{name}@Example.COM", "password": PASSWORD, "name": "Ada"}
    response = client.post(f"{API}/auth/register", json=account)
    assert response.status_code == 201
    body = response.get_json()
    assert (body["email"], body["name"], body["is_operator"]) == (f"{name}@example.com", "Ada", False)
    assert "password" not in response.get_data(as_text=True)
    answer = attempt(client, f" {name.upper()}@example.com", PASSWORD)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert Caller(client, answer.get_json()["access_token"])("GET", "/auth/me").get_json()["user"]["id"] == body["id"]


def test_a_second_account_with_the_same_email_is_refused(client: FlaskClient, person: Person) -> None:
    account = {"email": person.email.upper(), "password": PASSWORD}
    assert refused(client.post(f"{API}/auth/register", json=account)) == (409, "email_taken")


def test_twenty_registrations_at_once_make_one_account(app: Flask) -> None:
    account = {"email": f"{new_id()}@example.com", "password": PASSWORD}

    def register(_: int) -> int:
        return app.test_client().post(f"{API}/auth/register", json=account).status_code

    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(register, range(20)))
    assert statuses == [201] + [409] * 19


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"password": "short"}, "/password", "password_too_short"),
        ({"password": "p" * 257}, "/password", "password_too_long"),
        ({"password": "I am adalovelace 1815"}, "/password", "password_contains_email"),
        ({"email": "nobody"}, "/email", "invalid_email"),
        ({"is_operator": True}, "/is_operator", "unknown_field"),
    ],
    ids=str,
)
def test_a_registration_that_is_not_right_says_what_is_wrong(
    client: FlaskClient, change: dict[str, Any], pointer: str, code: str
) -> None:
    account = {"email": "adalovelace@example.com", "password": PASSWORD, **change}
    response = client.post(f"{API}/auth/register", json=account)
    assert refused(response) == (422, "invalid_payload")
    assert [(error["pointer"], error["code"]) for error in response.get_json()["errors"]] == [(pointer, code)]
    assert attempt(client, "adalovelace@example.com", PASSWORD).status_code == 401


def test_unknown_wrong_locked_and_malformed_all_answer_the_same(client: FlaskClient, person: Person) -> None:
    answers = [attempt(client, "nobody@example.com", PASSWORD), attempt(client, "no email", PASSWORD)]
    answers += [attempt(client, person.email, "wrong") for _ in range(6)]
    answers.append(attempt(client, person.email, PASSWORD))
    bodies = [{name: value for name, value in answer.get_json().items() if name != "trace_id"} for answer in answers]
    assert [answer.status_code for answer in answers] == [401] * len(answers)
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["code"] == "invalid_credentials"


def test_five_failures_lock_an_account_and_time_unlocks_it(
    client: FlaskClient, person: Person, web_tenancy: Tenancy
) -> None:
    for _ in range(5):
        attempt(client, person.email, "wrong")
    assert attempt(client, person.email, PASSWORD).status_code == 401
    _pass_time(web_tenancy, person)
    tokens(client, person)


def test_each_further_failure_locks_for_longer_and_a_login_forgets_them_all(
    client: FlaskClient, person: Person, web_tenancy: Tenancy
) -> None:
    locks = []
    for _ in range(8):
        attempt(client, person.email, "wrong")
        locks.append(_pass_time(web_tenancy, person))
    assert locks == [0, 0, 0, 0, 30, 60, 120, 240]
    tokens(client, person)
    for _ in range(4):
        attempt(client, person.email, "wrong")
    tokens(client, person)


def test_attempts_while_locked_do_not_prolong_the_lock(
    client: FlaskClient, person: Person, web_tenancy: Tenancy
) -> None:
    for _ in range(20):
        attempt(client, person.email, "wrong")
    assert _pass_time(web_tenancy, person) == 30


def test_forty_guesses_at_once_are_five_guesses(app: Flask, person: Person, web_tenancy: Tenancy) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: attempt(app.test_client(), person.email, f"guess {number}"), range(40)))
    row = web_tenancy.platform.fetch("SELECT failed_logins FROM users WHERE id = %(id)s", {"id": person.id})
    assert row[0]["failed_logins"] == 5


def test_a_disabled_user_cannot_sign_in_and_is_out_at_once(
    client: FlaskClient, person: Person, web_tenancy: Tenancy, log_in: Callable[..., Caller]
) -> None:
    signed_in = log_in(person)
    web_tenancy.platform.fetch("UPDATE users SET disabled_at = now() WHERE id = %(id)s", {"id": person.id})
    assert refused(signed_in("GET", "/auth/me")) == (401, "unauthenticated")
    assert refused(attempt(client, person.email, PASSWORD)) == (401, "invalid_credentials")


def test_a_hash_made_with_older_parameters_is_renewed_at_login(
    client: FlaskClient, person: Person, web_tenancy: Tenancy
) -> None:
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    web_tenancy.platform.fetch(
        "UPDATE users SET password_hash = %(old)s WHERE id = %(id)s", {"old": old, "id": person.id}
    )
    tokens(client, person)
    row = web_tenancy.platform.fetch("SELECT password_hash FROM users WHERE id = %(id)s", {"id": person.id})
    assert row[0]["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    tokens(client, person)


def _pass_time(tenancy: Tenancy, person: Person) -> int:
    """End the account's lock as if it had passed; returns its length in seconds."""
    rows = tenancy.platform.fetch(
        "SELECT coalesce(extract(epoch FROM locked_until - now()), 0)::float AS left FROM users WHERE id = %(id)s",
        {"id": person.id},
    )
    tenancy.platform.fetch("UPDATE users SET locked_until = now() WHERE id = %(id)s", {"id": person.id})
    left = rows[0]["left"]
    return 0 if left <= 0 else round(left / 10) * 10

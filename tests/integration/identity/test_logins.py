"""Registering, signing in, and slowing down whoever guesses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from domain.errors import InvalidCredentials
from domain.identity.lockout import account_subject
from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.identity import users
from tenancy.identity.sessions import Device
from tenancy.identity.throttles import attempt as throttle_attempt
from tenancy.sweeping import sweep
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


def test_unknown_wrong_and_malformed_answer_the_same(client: FlaskClient, person: Person) -> None:
    answers = [attempt(client, f"{new_id()}@example.com", PASSWORD), attempt(client, f"no email {new_id()}", PASSWORD)]
    answers += [attempt(client, person.email, "wrong") for _ in range(4)]
    bodies = [{name: value for name, value in answer.get_json().items() if name != "trace_id"} for answer in answers]
    assert [answer.status_code for answer in answers] == [401] * len(answers)
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["code"] == "invalid_credentials"


@pytest.mark.parametrize("known", [True, False], ids=["an account", "nobody"])
def test_five_failures_lock_an_email_whether_an_account_has_it_or_not(
    client: FlaskClient, person: Person, known: bool
) -> None:
    email = person.email if known else f"{new_id()}@example.com"
    answers = [attempt(client, email, "wrong") for _ in range(5)]
    assert [refused(answer) for answer in answers] == [(401, "invalid_credentials")] * 5
    locked = attempt(client, email, PASSWORD)
    assert refused(locked) == (429, "login_throttled")
    assert 1 <= int(locked.headers["Retry-After"]) <= 30


def test_time_unlocks_an_account(client: FlaskClient, person: Person, web_tenancy: Tenancy) -> None:
    for _ in range(5):
        attempt(client, person.email, "wrong")
    assert attempt(client, person.email, PASSWORD).status_code == 429
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


def test_an_hour_without_a_failure_forgets_them(client: FlaskClient, person: Person, web_tenancy: Tenancy) -> None:
    for _ in range(4):
        attempt(client, person.email, "wrong")
    web_tenancy.platform.fetch(
        "UPDATE login_throttles SET failed_at = failed_at - interval '61 minutes' WHERE subject = %(subject)s",
        {"subject": account_subject(person.email)},
    )
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
        answers = list(pool.map(lambda number: attempt(app.test_client(), person.email, f"guess {number}"), range(40)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 35
    assert _failures(web_tenancy, account_subject(person.email)) == 5


def test_an_address_that_fails_too_often_waits_and_others_do_not(
    strict: FlaskClient, make_person: Callable[[], Person], web_tenancy: Tenancy
) -> None:
    here, there = {"REMOTE_ADDR": "198.51.100.7"}, {"REMOTE_ADDR": "198.51.100.8"}
    for _ in range(11):
        assert _from(strict, here, make_person(), "wrong").status_code == 401
    owner = make_person()
    assert refused(_from(strict, here, owner, PASSWORD)) == (429, "login_throttled")
    assert _from(strict, there, owner, PASSWORD).status_code == 200


def test_a_login_of_ones_own_gives_an_address_no_guess_back(
    strict: FlaskClient, make_person: Callable[[], Person]
) -> None:
    own, here = make_person(), {"REMOTE_ADDR": "198.51.100.9"}
    for _ in range(10):
        assert _from(strict, here, make_person(), "wrong").status_code == 401
        assert _from(strict, here, own, PASSWORD).status_code == 200
    assert _from(strict, here, make_person(), "wrong").status_code == 401
    assert _from(strict, here, own, PASSWORD).status_code == 429


def test_failures_are_kept_without_the_email_and_swept_after_a_day(
    client: FlaskClient, person: Person, web_tenancy: Tenancy, engine_tenancy: Tenancy
) -> None:
    subject = account_subject(person.email)
    attempt(client, person.email, "wrong")
    assert _failures(web_tenancy, subject) == 1
    web_tenancy.platform.fetch(
        "UPDATE login_throttles SET failed_at = failed_at - interval '25 hours' WHERE subject = %(subject)s",
        {"subject": subject},
    )
    assert sweep(engine_tenancy.platform)["login_throttles"] >= 1
    assert _failures(web_tenancy, subject) == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        engine_tenancy.platform.fetch("SELECT subject FROM login_throttles", {})


def test_a_password_that_is_changed_while_a_login_is_under_way_lets_it_not_in(
    person: Person, web_tenancy: Tenancy
) -> None:
    email, tried = person.email, throttle_attempt(person.email, "203.0.113.9", 50)
    candidate = users.begin_login(web_tenancy.platform, email, tried)
    assert candidate is not None
    web_tenancy.platform.fetch("UPDATE users SET password_hash = 'another' WHERE id = %(id)s", {"id": person.id})
    with pytest.raises(InvalidCredentials):
        users.finish_login(
            web_tenancy.platform, web_tenancy.ring, candidate, tried, Device("", ""), code=None, rehashed=None
        )


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


@pytest.fixture
def strict(app: Flask) -> Iterator[FlaskClient]:
    """A client of an API that lets an address fail ten times."""
    tenancy: Tenancy = app.extensions["nexus.tenancy"]
    before = tenancy.settings
    tenancy.settings = before.model_copy(update={"login_address_failures": 10})
    yield app.test_client()
    tenancy.settings = before


def _from(client: FlaskClient, address: dict[str, str], person: Person, password: str) -> Any:
    body = {"email": person.email, "password": password}
    return client.post(f"{API}/auth/login", json=body, environ_overrides=address)


def _failures(tenancy: Tenancy, subject: bytes) -> int:
    rows = tenancy.platform.fetch("SELECT failures FROM login_throttles WHERE subject = %(s)s", {"s": subject})
    return int(rows[0]["failures"]) if rows else 0


def _pass_time(tenancy: Tenancy, person: Person) -> int:
    """End the account's lock as if it had passed; returns its length in seconds."""
    subject = {"subject": account_subject(person.email)}
    rows = tenancy.platform.fetch(
        "SELECT coalesce(extract(epoch FROM locked_until - now()), 0)::float AS left FROM login_throttles"
        " WHERE subject = %(subject)s",
        subject,
    )
    tenancy.platform.fetch("UPDATE login_throttles SET locked_until = now() WHERE subject = %(subject)s", subject)
    left = rows[0]["left"]
    return 0 if left <= 0 else round(left / 10) * 10

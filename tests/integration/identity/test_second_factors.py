"""Second factors: enrolled, asked for at logins, good once, replaced by recovery codes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient

from domain.identity.lockout import account_subject
from tenancy.access import Tenancy
from tenancy.identity.second_factors import opened, rewrap
from tenancy.scopes import user_scope
from tenancy.vault import MasterRing, SealBroken
from tests.integration.identity.conftest import API, PASSWORD, Caller, Person, refused, tokens
from tests.integration.identity.mailbox import Mailbox
from tests.integration.identity.test_recovery import forgot

NEW_PASSWORD = "another horse battery"


class App:
    """An authenticator app. Each code is of a step that was not used yet, as if time had passed."""

    def __init__(self, secret: str, tenancy: Tenancy, person: Person):
        self.secret, self._tenancy, self._person = secret, tenancy, person

    def code(self) -> str:
        """The present code; the step that was used last is forgotten, as if it had been long ago."""
        self._tenancy.platform.fetch(
            "UPDATE second_factors SET last_step = NULL WHERE user_id = %(id)s", {"id": self._person.id},
            user_scope(self._person.id),
        )  # fmt: skip
        return self.present()

    def present(self) -> str:
        """The present code."""
        return pyotp.TOTP(self.secret).now()


@pytest.fixture
def caller(person: Person, log_in: Callable[..., Caller]) -> Caller:
    """Someone who is signed in."""
    return log_in(person)


@pytest.fixture
def enrolled(caller: Caller, person: Person, web_tenancy: Tenancy) -> App:
    """The app of someone who has enrolled and not activated it."""
    made = caller("POST", "/auth/mfa/enroll", json={"password": PASSWORD})
    assert made.status_code == 200
    assert made.headers["Cache-Control"] == "no-store"
    return App(made.get_json()["secret"], web_tenancy, person)


@pytest.fixture
def codes(caller: Caller, enrolled: App) -> list[str]:
    """The recovery codes of someone whose second factor is active."""
    made = caller("POST", "/auth/mfa/activate", json={"code": enrolled.code()})
    assert made.status_code == 200
    assert made.headers["Cache-Control"] == "no-store"
    return list(made.get_json()["recovery_codes"])


def log(client: FlaskClient, person: Person, code: str | None = None, password: str = PASSWORD) -> Any:
    body = {"email": person.email, "password": password} | ({} if code is None else {"code": code})
    return client.post(f"{API}/auth/login", json=body)


def test_a_secret_that_is_not_activated_asks_nobody_for_a_code(
    client: FlaskClient, person: Person, caller: Caller, enrolled: App
) -> None:
    assert caller("GET", "/auth/mfa").get_json() == {"enabled": False, "activated_at": None, "recovery_codes_left": 0}
    tokens(client, person)
    assert log(client, person, "000000").status_code == 200  # nothing was asked for, so nothing is wrong


def test_an_active_second_factor_is_asked_for_at_logins(
    client: FlaskClient, person: Person, caller: Caller, enrolled: App, codes: list[str]
) -> None:
    assert len(set(codes)) == 10
    assert refused(log(client, person)) == (401, "mfa_required")
    assert refused(log(client, person, password="wrong")) == (401, "invalid_credentials")
    answer = log(client, person, enrolled.code())
    assert answer.status_code == 200
    signed_in = Caller(client, answer.get_json()["access_token"])
    state = signed_in("GET", "/auth/mfa").get_json()
    assert (state["enabled"], state["recovery_codes_left"]) == (True, 10)
    renewed = client.post(f"{API}/auth/refresh-token", json={"refresh_token": answer.get_json()["refresh_token"]})
    assert renewed.status_code == 200


def test_a_code_is_good_once(client: FlaskClient, person: Person, enrolled: App, codes: list[str]) -> None:
    code = enrolled.code()
    assert log(client, person, code).status_code == 200
    assert refused(log(client, person, code)) == (401, "invalid_code")


def test_a_code_that_four_send_at_once_lets_one_in(
    app: Flask, person: Person, enrolled: App, codes: list[str], web_tenancy: Tenancy
) -> None:
    code = enrolled.code()
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda _: log(app.test_client(), person, code).status_code, range(4)))
    assert sorted(statuses) == [200] + [401] * 3


def test_the_code_that_activated_it_does_not_sign_in(
    client: FlaskClient, person: Person, caller: Caller, enrolled: App
) -> None:
    code = enrolled.present()
    assert caller("POST", "/auth/mfa/activate", json={"code": code}).status_code == 200
    assert refused(log(client, person, code)) == (401, "invalid_code")


def test_a_recovery_code_stands_in_once(client: FlaskClient, person: Person, caller: Caller, codes: list[str]) -> None:
    assert log(client, person, codes[3].upper().replace("-", " ")).status_code == 200
    assert refused(log(client, person, codes[3])) == (401, "invalid_code")
    assert caller("GET", "/auth/mfa").get_json()["recovery_codes_left"] == 9
    assert log(client, person, codes[4]).status_code == 200


def test_wrong_codes_lock_the_account_and_the_right_password_gives_none_back(
    client: FlaskClient, person: Person, codes: list[str], web_tenancy: Tenancy
) -> None:
    for _ in range(4):
        assert refused(log(client, person, "000000")) == (401, "invalid_code")
        assert refused(log(client, person)) == (401, "mfa_required")
    assert refused(log(client, person, "000000")) == (401, "invalid_code")
    assert refused(log(client, person, codes[0])) == (429, "login_throttled")
    web_tenancy.platform.fetch(
        "UPDATE login_throttles SET locked_until = now() WHERE subject = %(s)s", {"s": account_subject(person.email)}
    )
    assert log(client, person, codes[0]).status_code == 200


def test_enrolling_and_disabling_take_the_password(
    client: FlaskClient, person: Person, caller: Caller, enrolled: App, codes: list[str]
) -> None:
    wrong = caller("POST", "/auth/mfa/disable", json={"password": "wrong", "code": enrolled.code()})
    assert refused(wrong) == (422, "invalid_payload")
    assert wrong.get_json()["errors"][0]["code"] == "wrong_password"
    code = caller("POST", "/auth/mfa/disable", json={"password": PASSWORD, "code": "000000"})
    assert refused(code) == (422, "invalid_payload")
    assert code.get_json()["errors"][0]["pointer"] == "/code"
    assert refused(caller("POST", "/auth/mfa/enroll", json={"password": PASSWORD})) == (409, "conflict")
    done = caller("POST", "/auth/mfa/disable", json={"password": PASSWORD, "code": codes[0]})
    assert done.status_code == 204
    tokens(client, person)
    assert refused(caller("POST", "/auth/mfa/disable", json={"password": PASSWORD, "code": "000000"})) == (
        409,
        "conflict",
    )


def test_codes_cannot_be_guessed_by_disabling_either(caller: Caller, codes: list[str]) -> None:
    guess = {"password": PASSWORD, "code": "000000"}
    answers = [caller("POST", "/auth/mfa/disable", json=guess) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [422] * 5 + [429]


def test_new_recovery_codes_replace_the_old_ones(
    client: FlaskClient, person: Person, caller: Caller, enrolled: App, codes: list[str]
) -> None:
    body = {"password": PASSWORD, "code": enrolled.code()}
    fresh = caller("POST", "/auth/mfa/recovery-codes", json=body).get_json()["recovery_codes"]
    assert refused(log(client, person, codes[0])) == (401, "invalid_code")
    assert log(client, person, fresh[0]).status_code == 200


def test_there_is_nothing_to_activate_twice_or_before_enrolling(
    caller: Caller, enrolled: App, codes: list[str]
) -> None:
    assert refused(caller("POST", "/auth/mfa/activate", json={"code": enrolled.code()})) == (409, "conflict")


def test_without_enrolling_there_is_nothing_to_activate(caller: Caller) -> None:
    assert refused(caller("POST", "/auth/mfa/activate", json={"code": "000000"})) == (409, "conflict")


def test_a_new_password_leaves_the_second_factor_of_a_verified_account(
    client: FlaskClient, person: Person, codes: list[str], mailbox: Mailbox, web_tenancy: Tenancy
) -> None:
    web_tenancy.platform.fetch("UPDATE users SET email_verified_at = now() WHERE id = %(id)s", {"id": person.id})
    reset(client, mailbox, person)
    assert refused(log(client, person, password=NEW_PASSWORD)) == (401, "mfa_required")


def test_a_new_password_drops_what_somebody_set_up_in_anothers_name(
    client: FlaskClient, person: Person, codes: list[str], mailbox: Mailbox
) -> None:
    reset(client, mailbox, person)
    tokens(client, person, NEW_PASSWORD)


def test_a_secret_lies_sealed_and_only_its_owners_transactions_see_it(
    person: Person, enrolled: App, codes: list[str], web_tenancy: Tenancy, engine_tenancy: Tenancy
) -> None:
    query = "SELECT secret_sealed, recovery_hashes FROM second_factors WHERE user_id = %(id)s"
    row = web_tenancy.platform.fetch(query, {"id": person.id}, user_scope(person.id))[0]
    assert enrolled.secret.encode() not in bytes(row["secret_sealed"])
    assert all(len(bytes(hashed)) == 32 for hashed in row["recovery_hashes"])
    assert web_tenancy.platform.fetch(query, {"id": person.id}) == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        engine_tenancy.platform.fetch(query, {"id": person.id})


def test_secrets_follow_the_master_key_that_is_active(
    client: FlaskClient, person: Person, enrolled: App, codes: list[str], web_tenancy: Tenancy, engine_tenancy: Tenancy
) -> None:
    old = web_tenancy.ring
    ring = MasterRing((("rewrapped", b"r" * 32), *old.keys))
    assert rewrap(engine_tenancy.platform, ring) >= 1
    assert rewrap(engine_tenancy.platform, ring) == 0
    with pytest.raises(SealBroken):
        opened(web_tenancy.platform, old, person.id)
    found = opened(web_tenancy.platform, MasterRing(ring.keys[:1]), person.id)
    assert found is not None
    assert found.text == enrolled.secret
    assert rewrap(engine_tenancy.platform, MasterRing((*old.keys, ring.keys[0]))) >= 1


def test_a_key_has_no_second_factor(
    person: Person, pooled_tenant: Any, join: Callable[..., None], log_in: Callable[..., Caller], client: FlaskClient
) -> None:
    join(person, pooled_tenant, "owner")
    key = log_in(person, pooled_tenant)("POST", "/api-keys", json={"name": "k", "scopes": ["job:read"]}).get_json()[
        "key"
    ]
    assert refused(Caller(client, key)("GET", "/auth/mfa")) == (403, "permission_denied")


def reset(client: FlaskClient, mailbox: Mailbox, person: Person) -> None:
    body = {"token": forgot(mailbox, person).token, "password": NEW_PASSWORD}
    assert client.post(f"{API}/auth/reset-password", json=body).status_code == 204

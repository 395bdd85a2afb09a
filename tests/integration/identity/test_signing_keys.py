"""Rotating the keys that sign, while tokens are out and clients keep copies of the public keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.identity import signing_keys as kept
from tenancy.identity.signing_keys import SigningKeys, ensure_signing_key
from tests.integration.identity.conftest import Caller, Person, refused, tokens
from web.tokens import signing_keys

PATH = "/admin/signing-keys"


@pytest.fixture
def operator(person: Person, web_tenancy: Tenancy, log_in: Callable[..., Caller]) -> Caller:
    """Someone who runs the platform."""
    web_tenancy.platform.fetch("UPDATE users SET is_operator = true WHERE id = %(id)s", {"id": person.id})
    return log_in(person)


@pytest.fixture(autouse=True)
def keys(app: Flask, web_tenancy: Tenancy) -> Iterator[Keys]:
    """The keys as they were before, again after the test."""
    before = [row["id"] for row in kept.listed(web_tenancy.platform)]
    yield Keys(app, web_tenancy)
    web_tenancy.platform.fetch("DELETE FROM signing_keys WHERE NOT id = ANY(%(ids)s)", {"ids": before})
    web_tenancy.platform.fetch(
        "UPDATE signing_keys SET retired_at = NULL, verifies_until = NULL WHERE id = ANY(%(ids)s)", {"ids": before}
    )
    Keys(app, web_tenancy).reread()


class Keys:
    """The process's cache, and the clock as its rows see it."""

    def __init__(self, app: Flask, tenancy: Tenancy):
        self._app, self._tenancy = app, tenancy

    def reread(self) -> None:
        """Let the process read the keys again, as it does each minute."""
        with self._app.app_context():
            signing_keys()._read_at = float("-inf")

    def pass_time(self, interval: str) -> None:
        """Let time pass for all keys."""
        self._tenancy.platform.fetch(
            "UPDATE signing_keys SET signs_from = signs_from - %(i)s::interval, verifies_until = verifies_until - %(i)s::interval",
            {"i": interval},
        )
        self.reread()


def kid(login: dict[str, Any]) -> str:
    return str(jwt.get_unverified_header(login["access_token"])["kid"])


def shown(client: FlaskClient) -> set[str]:
    return {key["kid"] for key in client.get("/.well-known/jwks.json").get_json()["keys"]}


def states(caller: Caller) -> dict[str, str]:
    return {key["id"]: key["state"] for key in caller("GET", PATH).get_json()["items"]}


def works(client: FlaskClient, login: dict[str, Any]) -> bool:
    return Caller(client, login["access_token"])("GET", "/auth/me").status_code == 200


def test_a_new_key_is_shown_before_it_signs_and_the_old_one_verifies_what_it_signed(
    operator: Caller, client: FlaskClient, person: Person, keys: Keys
) -> None:
    keys.reread()
    before = tokens(client, person)
    old = kid(before)
    rotated = operator("POST", f"{PATH}/rotate")
    assert rotated.status_code == 200
    new = next(key["id"] for key in rotated.get_json()["items"] if key["state"] == "shown")
    keys.reread()
    assert shown(client) >= {old, new}
    assert kid(tokens(client, person)) == old

    keys.pass_time("181 seconds")
    after = tokens(client, person)
    assert kid(after) == new
    assert states(operator)[old] == "verifying"
    assert works(client, before)
    assert shown(client) >= {old, new}

    keys.pass_time("17 minutes")
    assert works(client, before)  # as far as its key goes: 15 minutes from the last moment at which it may have signed

    keys.pass_time("2 minutes")
    assert old not in shown(client)
    assert not works(client, before)
    assert works(client, after)
    assert states(Caller(client, after["access_token"])) == {new: "signing"}


def test_rotating_again_while_a_key_is_shown_makes_no_other(operator: Caller, app: Flask) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: Caller(app.test_client(), operator.credential)("POST", f"{PATH}/rotate"), range(8))
        )
    assert {answer.status_code for answer in answers} == {200}
    assert list(states(operator).values()).count("shown") == 1


def test_starting_while_a_key_is_shown_makes_no_other(operator: Caller, web_tenancy: Tenancy) -> None:
    operator("POST", f"{PATH}/rotate")
    before = states(operator)
    ensure_signing_key(web_tenancy.platform, web_tenancy.ring)
    assert states(operator) == before


def test_a_retired_key_is_refused_and_another_takes_over_at_once(
    operator: Caller, client: FlaskClient, person: Person, keys: Keys
) -> None:
    login = tokens(client, person)
    assert operator("DELETE", f"{PATH}/{kid(login)}").status_code == 200
    keys.reread()
    assert not works(client, login)
    renewed = client.post("/api/v1/auth/refresh-token", json={"refresh_token": login["refresh_token"]}).get_json()
    assert kid(renewed) != kid(login)
    assert works(client, renewed)


def test_retiring_the_key_that_signs_lets_the_one_that_is_shown_sign_at_once(
    operator: Caller, client: FlaskClient, person: Person, keys: Keys
) -> None:
    login = tokens(client, person)
    rotated = operator("POST", f"{PATH}/rotate").get_json()["items"]
    new = next(key["id"] for key in rotated if key["state"] == "shown")
    left = operator("DELETE", f"{PATH}/{kid(login)}").get_json()["items"]
    found = {key["id"]: key["state"] for key in left}
    assert (found[new], found.get(kid(login))) == ("signing", None)
    keys.reread()
    assert kid(tokens(client, person)) == new


def test_a_process_that_only_verifies_learns_of_a_retired_key_within_a_minute(web_tenancy: Tenancy) -> None:
    verifier = SigningKeys(web_tenancy.platform, web_tenancy.ring)
    first = verifier.active()
    kept.retire(web_tenancy.platform, web_tenancy.ring, first.id)
    assert verifier.public(first.id) is not None
    verifier._read_at -= kept.FRESH_SECONDS
    assert verifier.public(first.id) is None


def test_keys_are_for_operators_and_an_unknown_one_is_not_found(
    operator: Caller, make_person: Callable[[], Person], log_in: Callable[..., Caller]
) -> None:
    assert refused(operator("DELETE", f"{PATH}/{new_id()}")) == (404, "not_found")
    anyone = log_in(make_person())
    for method, path in (("GET", PATH), ("POST", f"{PATH}/rotate"), ("DELETE", f"{PATH}/{UUID(int=1)}")):
        assert refused(anyone(method, path)) == (403, "permission_denied")
    assert "private" not in operator("GET", PATH).get_data(as_text=True)

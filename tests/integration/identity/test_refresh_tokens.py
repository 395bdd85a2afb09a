"""Refresh tokens: rotated at each use, and a session's end when one is used twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tenancy.access import Tenancy
from tests.integration.identity.conftest import API, Caller, Person, refused, tokens


def exchange(client: FlaskClient, token: str) -> Any:
    return client.post(f"{API}/auth/refresh-token", json={"refresh_token": token})


@pytest.fixture
def login(client: FlaskClient, person: Person) -> dict[str, Any]:
    return tokens(client, person)


@pytest.fixture
def age(web_tenancy: Tenancy, login: dict[str, Any]) -> Callable[[float], None]:
    """Lets seconds pass for the login's tokens that were used."""

    def pass_time(seconds: float) -> None:
        web_tenancy.platform.fetch(
            "UPDATE refresh_tokens SET used_at = used_at - %(s)s * interval '1 second' WHERE session_id = %(id)s",
            {"s": seconds, "id": UUID(login["session_id"])},
        )

    return pass_time


def test_an_exchange_gives_new_tokens_of_the_same_session(client: FlaskClient, login: dict[str, Any]) -> None:
    response = exchange(client, login["refresh_token"])
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    new = response.get_json()
    assert new["session_id"] == login["session_id"]
    assert new["refresh_token"] != login["refresh_token"]
    assert Caller(client, new["access_token"])("GET", "/auth/me").status_code == 200


def test_a_chain_of_exchanges_goes_on(client: FlaskClient, login: dict[str, Any]) -> None:
    token = login["refresh_token"]
    for _ in range(5):
        token = exchange(client, token).get_json()["refresh_token"]


def test_a_token_used_twice_after_the_grace_revokes_its_session(
    client: FlaskClient, login: dict[str, Any], age: Callable[[float], None]
) -> None:
    new = exchange(client, login["refresh_token"]).get_json()
    age(11)
    assert refused(exchange(client, login["refresh_token"])) == (401, "refresh_token_reused")
    assert refused(exchange(client, new["refresh_token"])) == (401, "unauthenticated")
    assert refused(Caller(client, new["access_token"])("GET", "/auth/me")) == (401, "unauthenticated")


def test_the_immediate_predecessor_within_the_grace_gets_another_successor(
    client: FlaskClient, login: dict[str, Any]
) -> None:
    lost = exchange(client, login["refresh_token"]).get_json()
    again = exchange(client, login["refresh_token"])
    assert again.status_code == 200
    assert again.get_json()["refresh_token"] != lost["refresh_token"]
    assert exchange(client, again.get_json()["refresh_token"]).status_code == 200


def test_the_predecessor_of_the_predecessor_has_no_grace(client: FlaskClient, login: dict[str, Any]) -> None:
    second = exchange(client, login["refresh_token"]).get_json()["refresh_token"]
    third = exchange(client, second).get_json()["refresh_token"]
    assert refused(exchange(client, login["refresh_token"])) == (401, "refresh_token_reused")
    assert refused(exchange(client, third)) == (401, "unauthenticated")


def test_a_thief_and_the_owner_with_successors_of_one_token_cannot_both_go_on(
    client: FlaskClient, login: dict[str, Any], age: Callable[[float], None]
) -> None:
    thief = exchange(client, login["refresh_token"]).get_json()["refresh_token"]
    owner = exchange(client, login["refresh_token"]).get_json()["refresh_token"]
    later = exchange(client, thief).get_json()["refresh_token"]
    age(11)
    assert refused(exchange(client, owner)) == (401, "refresh_token_reused")
    assert refused(exchange(client, later)) == (401, "unauthenticated")


def test_revoking_one_session_leaves_the_users_other_one(
    client: FlaskClient, person: Person, login: dict[str, Any], age: Callable[[float], None]
) -> None:
    other = tokens(client, person)
    exchange(client, login["refresh_token"])
    age(11)
    assert exchange(client, login["refresh_token"]).status_code == 401
    assert exchange(client, other["refresh_token"]).status_code == 200


def test_twenty_exchanges_at_once_leave_one_session_that_goes_on(
    app: Flask, login: dict[str, Any], web_tenancy: Tenancy
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: exchange(app.test_client(), login["refresh_token"]), range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    issued = {answer.get_json()["refresh_token"] for answer in answers}
    assert len(issued) == 20
    assert {answer.get_json()["session_id"] for answer in answers} == {login["session_id"]}
    assert _unused(web_tenancy, login) == 20  # one exchange rotated, the others repeated: none undid another's answer
    client = app.test_client()
    following = exchange(client, issued.pop()).get_json()["refresh_token"]
    assert _unused(web_tenancy, login) == 1
    assert exchange(client, following).status_code == 200


def test_an_exchange_waits_for_another_one_of_its_session_and_sees_what_it_did(
    app: Flask, login: dict[str, Any], web_tenancy: Tenancy
) -> None:
    session_id = {"id": UUID(login["session_id"])}
    with ThreadPoolExecutor(1) as pool:
        with web_tenancy.platform.session({}) as transaction:
            connection = transaction.connection()
            connection.exec_driver_sql("SELECT 1 FROM sessions WHERE id = %(id)s FOR NO KEY UPDATE", session_id)
            connection.exec_driver_sql(
                "UPDATE refresh_tokens SET used_at = now() - interval '20 seconds' WHERE session_id = %(id)s",
                session_id,
            )
            answer = pool.submit(lambda: exchange(app.test_client(), login["refresh_token"]))
            while not answer.done() and not _someone_waits(web_tenancy):
                time.sleep(0.01)
        assert refused(answer.result(timeout=30)) == (401, "refresh_token_reused")


@pytest.mark.parametrize("token", ["x", "\u00e9", "A" * 43])
def test_an_unknown_token_is_unauthenticated(client: FlaskClient, token: str) -> None:
    assert refused(exchange(client, token)) == (401, "unauthenticated")


def test_an_access_token_is_no_refresh_token_nor_the_other_way_round(
    client: FlaskClient, login: dict[str, Any]
) -> None:
    assert exchange(client, login["access_token"]).status_code in {401, 422}
    assert refused(Caller(client, login["refresh_token"])("GET", "/auth/me")) == (401, "unauthenticated")


def test_an_expired_token_is_refused_and_its_session_is_not_revoked(
    client: FlaskClient, login: dict[str, Any], web_tenancy: Tenancy
) -> None:
    web_tenancy.platform.fetch(
        "UPDATE refresh_tokens SET expires_at = now() WHERE session_id = %(id)s", {"id": UUID(login["session_id"])}
    )
    assert refused(exchange(client, login["refresh_token"])) == (401, "unauthenticated")
    assert Caller(client, login["access_token"])("GET", "/auth/me").status_code == 200


def test_a_session_ends_for_good_after_ninety_days(
    client: FlaskClient, login: dict[str, Any], web_tenancy: Tenancy
) -> None:
    row = web_tenancy.platform.fetch(
        "SELECT extract(epoch FROM s.expires_at - s.created_at) AS session, extract(epoch FROM r.expires_at - r.id_time)"
        " AS token FROM sessions s JOIN (SELECT *, now() AS id_time FROM refresh_tokens) r ON r.session_id = s.id"
        " WHERE s.id = %(id)s",
        {"id": UUID(login["session_id"])},
    )[0]
    assert round(row["session"] / 86400) == 90
    assert round(row["token"] / 86400) == 30
    _end(web_tenancy, login, "20 days")
    token = exchange(client, login["refresh_token"]).get_json()["refresh_token"]
    capped = web_tenancy.platform.fetch(
        "SELECT max(r.expires_at) = s.expires_at AS capped FROM sessions s JOIN refresh_tokens r ON r.session_id = s.id"
        " AND r.used_at IS NULL WHERE s.id = %(id)s GROUP BY s.expires_at",
        {"id": UUID(login["session_id"])},
    )
    assert capped[0]["capped"] is True
    _end(web_tenancy, login, "0 days")
    assert refused(exchange(client, token)) == (401, "unauthenticated")
    assert refused(Caller(client, login["access_token"])("GET", "/auth/me")) == (401, "unauthenticated")


def test_only_a_hash_of_a_token_is_stored(login: dict[str, Any], web_tenancy: Tenancy) -> None:
    rows = web_tenancy.platform.fetch(
        "SELECT token_hash FROM refresh_tokens WHERE session_id = %(id)s", {"id": UUID(login["session_id"])}
    )
    assert all(
        len(row["token_hash"]) == 32 and login["refresh_token"].encode() not in row["token_hash"] for row in rows
    )


def _end(tenancy: Tenancy, login: dict[str, Any], within: str) -> None:
    tenancy.platform.fetch(
        "UPDATE sessions SET expires_at = now() + %(within)s::interval WHERE id = %(id)s",
        {"within": within, "id": UUID(login["session_id"])},
    )


def _unused(tenancy: Tenancy, login: dict[str, Any]) -> int:
    rows = tenancy.platform.fetch(
        "SELECT count(*) AS unused FROM refresh_tokens WHERE session_id = %(id)s AND used_at IS NULL",
        {"id": UUID(login["session_id"])},
    )
    return int(rows[0]["unused"])


def _someone_waits(tenancy: Tenancy) -> bool:
    return bool(
        tenancy.platform.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'", {}
        )
    )

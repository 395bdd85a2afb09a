"""Access tokens: only ours, only as signed, only while their session lives."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from flask.testing import FlaskClient

from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.identity.signing_keys import PATIENCE_SECONDS, SigningKeys, ensure_signing_key
from tenancy.vault import SealBroken
from tests.integration.identity.conftest import API, Caller, Person, refused, tokens
from web.tokens import CLOCK_LEEWAY, signing_keys


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@pytest.fixture
def genuine(client: FlaskClient, person: Person) -> str:
    return str(tokens(client, person)["access_token"])


@pytest.fixture
def parts(genuine: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a good token."""
    return jwt.get_unverified_header(genuine), jwt.decode(genuine, options={"verify_signature": False})


@pytest.fixture
def sign(app: Flask, parts: tuple[dict[str, Any], dict[str, Any]]) -> Callable[..., str]:
    """Signs the good token's claims, changed, with the platform's own key; a claim that is None is left out."""

    def make(headers: dict[str, Any] | None = None, **changes: Any) -> str:
        header, claims = parts
        changed = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        with app.app_context():
            key = signing_keys().active().private
        return jwt.encode(changed, key, "EdDSA", headers={"kid": header["kid"], **(headers or {})})

    return make


def me(client: FlaskClient, credential: str) -> Any:
    return Caller(client, credential)("GET", "/auth/me")


def test_a_token_says_who_where_and_for_how_long(parts: tuple[dict[str, Any], dict[str, Any]], person: Person) -> None:
    header, claims = parts
    assert header["alg"] == "EdDSA"
    assert {"iss", "aud", "typ", "sub", "sid", "tid", "jti", "iat", "exp", "nbf"} <= set(claims)
    assert (claims["sub"], claims["tid"], claims["typ"]) == (str(person.id), None, "access")
    assert claims["exp"] - claims["iat"] == 15 * 60


def test_a_token_verifies_with_the_key_that_jwks_shows(client: FlaskClient, genuine: str) -> None:
    response = client.get("/.well-known/jwks.json")
    keys = {key["kid"]: key for key in response.get_json()["keys"]}
    key = jwt.PyJWK(keys[jwt.get_unverified_header(genuine)["kid"]])
    claims = jwt.decode(genuine, key, algorithms=["EdDSA"], audience="nexus-api")
    assert claims["typ"] == "access"
    assert all(set(shown) == {"kty", "crv", "alg", "use", "kid", "x"} for shown in keys.values())


def test_a_token_with_the_platforms_signature_is_accepted(client: FlaskClient, sign: Callable[..., str]) -> None:
    assert me(client, sign()).status_code == 200


@pytest.mark.parametrize(
    "credential", ["", "x", "a.b.c", "....", "nxk_", "nxk_" + "A" * 86, "\u00e9", "e30.e30.", "Bearer"], ids=repr
)
def test_what_is_no_token_is_unauthenticated(client: FlaskClient, credential: str) -> None:
    assert refused(me(client, credential)) == (401, "unauthenticated")


def test_no_credentials_and_another_scheme_are_unauthenticated(client: FlaskClient, genuine: str) -> None:
    assert refused(client.get(f"{API}/auth/me")) == (401, "unauthenticated")
    assert refused(client.get(f"{API}/auth/me", headers={"Authorization": f"Basic {genuine}"})) == (
        401,
        "unauthenticated",
    )


def test_an_expired_token_is_told_so(client: FlaskClient, sign: Callable[..., str]) -> None:
    past = datetime.now(UTC) - CLOCK_LEEWAY - timedelta(seconds=1)
    assert refused(me(client, sign(exp=past))) == (401, "token_expired")


def test_a_token_of_a_node_whose_clock_is_seconds_ahead_is_taken_and_of_one_minutes_ahead_is_not(
    client: FlaskClient, sign: Callable[..., str]
) -> None:
    now = datetime.now(UTC)
    for ahead, status in ((CLOCK_LEEWAY - timedelta(seconds=1), 200), (timedelta(minutes=5), 401)):
        assert me(client, sign(iat=now + ahead, nbf=now + ahead)).status_code == status


def test_a_token_that_expired_and_is_forged_is_not_told_that_it_expired(
    client: FlaskClient, sign: Callable[..., str]
) -> None:
    token = sign(exp=datetime.now(UTC) - timedelta(seconds=1))
    head, body, signature = token.split(".")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    assert refused(me(client, f"{head}.{body}.{flipped}")) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "another-api"},
        {"aud": None},
        {"typ": "refresh"},
        {"typ": None},
        {"sid": None},
        {"sid": "no id"},
        {"sub": "no id"},
        {"sub": None},
        {"tid": "no id"},
        {"exp": None},
        {"nbf": datetime(2100, 1, 1, tzinfo=UTC)},
    ],
    ids=str,
)
def test_a_signed_token_with_a_wrong_claim_is_unauthenticated(
    client: FlaskClient, sign: Callable[..., str], changes: dict[str, Any]
) -> None:
    assert refused(me(client, sign(**changes))) == (401, "unauthenticated")


@pytest.mark.parametrize("claim", ["sub", "sid"])
def test_a_signed_token_of_another_user_or_session_is_unauthenticated(
    client: FlaskClient, sign: Callable[..., str], claim: str
) -> None:
    assert refused(me(client, sign(**{claim: str(new_id())}))) == (401, "unauthenticated")


def test_the_algorithm_none_is_refused(client: FlaskClient, parts: tuple[dict[str, Any], dict[str, Any]]) -> None:
    header, claims = parts
    for name in ("none", "None", "NONE"):
        assert refused(me(client, f"{encoded({**header, 'alg': name})}.{encoded(claims)}.")) == (401, "unauthenticated")


def test_a_token_signed_by_hmac_with_the_public_key_is_refused(
    client: FlaskClient, app: Flask, parts: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    header, claims = parts
    with app.app_context():
        public = signing_keys().active().public.public_bytes_raw()
    forged = jwt.encode(claims, public, "HS256", headers={"kid": header["kid"]})
    assert refused(me(client, forged)) == (401, "unauthenticated")


def test_a_token_signed_by_another_key_under_our_kid_is_refused(
    client: FlaskClient, parts: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    header, claims = parts
    forged = jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", headers={"kid": header["kid"]})
    assert refused(me(client, forged)) == (401, "unauthenticated")


def test_a_token_that_brings_its_own_key_is_refused(
    client: FlaskClient, parts: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    key = Ed25519PrivateKey.generate()
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key()))
    for headers in ({"jwk": jwk}, {"jku": "http://127.0.0.1:1/jwks.json"}, {"x5u": "http://127.0.0.1:1/x"}):
        forged = jwt.encode(parts[1], key, "EdDSA", headers={"kid": parts[0]["kid"], **headers})
        assert refused(me(client, forged)) == (401, "unauthenticated")


def test_a_header_that_points_to_a_key_is_refused_even_with_our_signature(
    client: FlaskClient, sign: Callable[..., str]
) -> None:
    assert refused(me(client, sign({"jku": "http://127.0.0.1:1/jwks.json"}))) == (401, "unauthenticated")


def test_unknown_kids_make_the_process_look_for_new_keys_only_once_in_a_while(
    client: FlaskClient, sign: Callable[..., str], platform: Any
) -> None:
    assert me(client, sign({"kid": str(new_id())})).status_code == 401
    before = platform.trips
    for _ in range(20):
        assert me(client, sign({"kid": str(new_id())})).status_code == 401
    assert platform.trips == before


def test_a_key_made_by_another_process_is_found_by_its_kid_and_a_retired_one_is_not(
    web_tenancy: Tenancy,
) -> None:
    keys = SigningKeys(web_tenancy.platform, web_tenancy.ring)
    first = keys.active()
    _run(web_tenancy, "UPDATE signing_keys SET retired_at = now() WHERE id = %(id)s", first.id)
    try:
        ensure_signing_key(web_tenancy.platform, web_tenancy.ring)
        second = SigningKeys(web_tenancy.platform, web_tenancy.ring).active()
        assert second.id != first.id
        assert keys.public(second.id) is None
        keys._read_at -= PATIENCE_SECONDS
        assert keys.public(second.id) is not None
        assert keys.public(first.id) is None
    finally:
        _run(web_tenancy, "UPDATE signing_keys SET retired_at = NULL WHERE id = %(id)s", first.id)


def test_ten_starts_at_once_make_one_key(web_tenancy: Tenancy) -> None:
    before = SigningKeys(web_tenancy.platform, web_tenancy.ring).all_public()
    for key_id in before:
        _run(web_tenancy, "UPDATE signing_keys SET retired_at = now() WHERE id = %(id)s", key_id)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: ensure_signing_key(web_tenancy.platform, web_tenancy.ring), range(10)))
        assert len(SigningKeys(web_tenancy.platform, web_tenancy.ring).all_public()) == 1
    finally:
        for key_id in before:
            _run(web_tenancy, "UPDATE signing_keys SET retired_at = NULL WHERE id = %(id)s", key_id)


def test_a_private_key_lies_sealed_and_opens_at_its_own_place_only(web_tenancy: Tenancy) -> None:
    key = SigningKeys(web_tenancy.platform, web_tenancy.ring).active()
    row = web_tenancy.platform.fetch("SELECT private_sealed FROM signing_keys WHERE id = %(id)s", {"id": key.id})[0]
    sealed = bytes(row["private_sealed"])
    assert key.private.private_bytes_raw() not in sealed
    master_key_id, _, wrapped = sealed.partition(b"\0")
    with pytest.raises(SealBroken):
        web_tenancy.ring.unwrap(master_key_id.decode(), wrapped, f"signing_keys|{new_id()}")


def _run(tenancy: Tenancy, statement: LiteralString, key_id: UUID) -> None:
    tenancy.platform.fetch(statement, {"id": key_id})

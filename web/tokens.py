"""Access tokens: short-lived JWTs signed with Ed25519 (RFC 8037), checked again against the database at every use.

flask-jwt-extended encodes and decodes; this module fixes the algorithm, chooses the key and says what a token means.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from flask import Flask, current_app, g
from flask_jwt_extended import JWTManager, create_access_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from domain.errors import TokenExpired, Unauthenticated
from domain.identity.sessions import ACCESS_LIFETIME
from domain.ids import parse_id
from tenancy.identity.signing_keys import SigningKeys
from web.context import tenancy

CLOCK_LEEWAY = timedelta(seconds=5)
"""By how much the clocks of two web nodes may differ before one refuses what the other has just issued."""

AUDIENCE = "nexus-api"
_HEADERS = frozenset({"alg", "kid", "typ"})


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified token says. `tenant_id` is set for a token that is bound to a tenant."""

    user_id: UUID
    session_id: UUID
    tenant_id: UUID | None


def install(app: Flask) -> None:
    """Set up token handling; `tenancy()` need not exist yet. The auth blueprint calls this when it is registered."""
    app.config.update(
        JWT_ALGORITHM="EdDSA",
        JWT_DECODE_ALGORITHMS=["EdDSA"],
        JWT_TOKEN_LOCATION=["headers"],
        JWT_ACCESS_TOKEN_EXPIRES=ACCESS_LIFETIME,
        JWT_DECODE_LEEWAY=CLOCK_LEEWAY,
        JWT_COOKIE_CSRF_PROTECT=False,  # without cookies there is nothing to forge
        JWT_ENCODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_AUDIENCE=AUDIENCE,
    )
    manager = JWTManager(app)
    manager.encode_key_loader(_signing_key)
    manager.decode_key_loader(_verifying_key)


def signing_keys() -> SigningKeys:
    """This process's cache of signing keys."""
    keys: SigningKeys | None = current_app.extensions.get("nexus.signing_keys")
    if keys is None:
        door = tenancy()
        keys = current_app.extensions["nexus.signing_keys"] = SigningKeys(door.platform, door.ring)
    return keys


def issue(user_id: UUID, session_id: UUID, tenant_id: UUID | None) -> str:
    """A signed access token, good for `ACCESS_LIFETIME` unless its session ends earlier."""
    g.signing_key = key = signing_keys().active()
    encoded: str = create_access_token(
        identity=str(user_id),
        additional_claims={
            "iss": tenancy().settings.base_url,
            "typ": "access",
            "sid": str(session_id),
            "tid": None if tenant_id is None else str(tenant_id),
        },
        additional_headers={"kid": str(key.id)},
    )
    return encoded


def verify(encoded: str) -> AccessClaims:
    """Check signature, form, issuer, audience and time. Raises `TokenExpired` or `Unauthenticated`.

    The session may have ended meanwhile: that is the database's to say. The result is kept for the request.
    """
    known: tuple[str, AccessClaims] | None = g.get("access_claims")
    if known is not None and known[0] == encoded:
        return known[1]
    try:
        claims = decode_token(encoded)
    except ExpiredSignatureError:
        raise TokenExpired("The access token has expired; exchange the refresh token.") from None
    except (PyJWTError, JWTExtendedException, ValueError):
        raise Unauthenticated("The access token is not valid.") from None
    verified = _meaning(claims)
    g.access_claims = (encoded, verified)
    return verified


def _meaning(claims: dict[str, Any]) -> AccessClaims:
    user_id, session_id = (parse_id(str(claims.get(name))) for name in ("sub", "sid"))
    bound = claims.get("tid")
    tenant_id = None if bound is None else parse_id(str(bound))
    if (
        user_id is None
        or session_id is None
        or (bound is not None and tenant_id is None)
        or claims.get("typ") != "access"
        or claims.get("iss") != tenancy().settings.base_url
        or "exp" not in claims
    ):
        raise Unauthenticated("The access token is not valid.")
    return AccessClaims(user_id, session_id, tenant_id)


def _signing_key(_identity: str) -> Ed25519PrivateKey:
    private: Ed25519PrivateKey = g.signing_key.private
    return private


def _verifying_key(headers: dict[str, Any], _claims: dict[str, Any]) -> Ed25519PublicKey:
    """The key that `kid` names among ours. A header that brings or points to a key of its own is refused."""
    key_id = parse_id(str(headers.get("kid")))
    public = None if key_id is None or not _HEADERS.issuperset(headers) else signing_keys().public(key_id)
    if public is None:
        raise Unauthenticated("The access token is not signed by a known key.")
    return public

"""The public keys of access tokens, for whoever wants to verify one without asking us."""

from __future__ import annotations

import base64
from typing import Any

from flask_smorest import Blueprint

from tenancy.identity.signing_keys import FRESH_SECONDS
from web import tokens
from web.auth import public
from web.schemas.jwks import JwksSchema

blueprint = Blueprint("jwks", __name__, url_prefix="/.well-known", description="Public keys")


@blueprint.route("/jwks.json", methods=["GET"])
@public
@blueprint.response(200, JwksSchema)
def read_jwks() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Read the keys that verify access tokens (RFC 7517).

    A token that verifies may still be of a revoked session: only this API knows.
    """
    keys = [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "alg": "EdDSA",
            "use": "sig",
            "kid": str(key_id),
            "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
        }
        for key_id, raw in tokens.signing_keys().all_public().items()
    ]
    return {"keys": keys}, 200, {"Cache-Control": f"public, max-age={int(FRESH_SECONDS)}"}

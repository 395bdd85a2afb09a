"""The keys that sign access tokens, for operators."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask_smorest import Blueprint

from tenancy.identity import signing_keys
from web.auth import operator
from web.context import tenancy
from web.schemas.signing_keys import SigningKeyListSchema

blueprint = Blueprint(
    "signing_keys", __name__, url_prefix="/admin/signing-keys", description="Keys that sign access tokens"
)


@blueprint.route("", methods=["GET"])
@operator
@blueprint.response(200, SigningKeyListSchema)
def list_signing_keys() -> dict[str, Any]:
    """List the keys that verify, newest first."""
    return {"items": signing_keys.listed(tenancy().platform)}


@blueprint.route("/rotate", methods=["POST"])
@operator
@blueprint.response(200, SigningKeyListSchema)
def rotate_signing_keys() -> dict[str, Any]:
    """Make a new key. It is shown at once, signs in three minutes, and no token that is out stops working.

    The key before verifies until the last token that it signed has expired. While a key is shown that does not sign yet, no
    other is made.
    """
    return {"items": signing_keys.rotate(tenancy().platform, tenancy().ring)}


@blueprint.route("/<uuid:key_id>", methods=["DELETE"])
@operator
@blueprint.response(200, SigningKeyListSchema)
def retire_signing_key(key_id: UUID) -> dict[str, Any]:
    """Retire a key that got into the wrong hands: within a minute its tokens are refused everywhere.

    Clients get new tokens with their refresh tokens. If it was the one that signs, another takes over at once.
    """
    return {"items": signing_keys.retire(tenancy().platform, tenancy().ring, key_id)}

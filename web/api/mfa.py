"""The second factor of the signed-in user: time-based one-time passwords and recovery codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from flask_smorest import Blueprint
from sqlalchemy.orm import Session as Transaction

from domain.errors import FieldError, InvalidCode, InvalidPayload
from domain.identity.totp import enrolment_uri
from tenancy.database import Row
from tenancy.identity import second_factors, throttles, users
from tenancy.scopes import user_scope
from web.attempts import confirm_password
from web.auth import authenticated, signed_in_user
from web.context import tenancy
from web.schemas.mfa import (
    CodeSchema,
    EnrolmentSchema,
    MfaSchema,
    PasswordAndCodeSchema,
    PasswordSchema,
    RecoveryCodesSchema,
)

blueprint = Blueprint("mfa", __name__, url_prefix="/auth/mfa", description="Second factors")

ISSUER = "Nexus"
SHOWN_ONCE = {"Cache-Control": "no-store"}


@blueprint.route("", methods=["GET"])
@authenticated
@blueprint.response(200, MfaSchema)
def read_mfa() -> Row:
    """Read whether the account is asked for a code when it signs in."""
    user_id, _ = signed_in_user()
    return second_factors.state(tenancy().platform, user_id)


@blueprint.route("/enroll", methods=["POST"])
@authenticated
@blueprint.arguments(PasswordSchema)
@blueprint.response(200, EnrolmentSchema)
def enroll(body: dict[str, Any]) -> tuple[dict[str, str], int, dict[str, str]]:
    """Get a secret for an authenticator app. It counts once it is activated with a code; until then, asking again replaces it."""
    user_id, _ = signed_in_user()
    tried = confirm_password(user_id, body["password"])
    email = users.get(tenancy().platform, user_id)["email"]
    secret = second_factors.mint(tenancy().ring, user_id)
    with _transaction(user_id) as transaction:
        second_factors.enrol(transaction, user_id, secret)
        throttles.forget(transaction, tried)
    return {"secret": secret.text, "uri": enrolment_uri(secret.text, email, ISSUER)}, 200, SHOWN_ONCE


@blueprint.route("/activate", methods=["POST"])
@authenticated
@blueprint.arguments(CodeSchema)
@blueprint.response(200, RecoveryCodesSchema)
def activate(body: dict[str, Any]) -> tuple[dict[str, list[str]], int, dict[str, str]]:
    """Activate the secret with a code of the app: logins take one from now on. The answer is the only place that shows the
    recovery codes, each of which stands in for the app once.
    """
    user_id, _ = signed_in_user()
    secret = second_factors.opened(tenancy().platform, tenancy().ring, user_id)
    with _transaction(user_id) as transaction:
        codes = second_factors.activate(transaction, user_id, secret, body["code"])
    return {"recovery_codes": codes}, 200, SHOWN_ONCE


@blueprint.route("/recovery-codes", methods=["POST"])
@authenticated
@blueprint.arguments(PasswordAndCodeSchema)
@blueprint.response(200, RecoveryCodesSchema)
def renew_recovery_codes(body: dict[str, Any]) -> tuple[dict[str, list[str]], int, dict[str, str]]:
    """Get new recovery codes in place of all old ones."""
    user_id, _ = signed_in_user()
    tried = confirm_password(user_id, body["password"])
    secret = second_factors.opened(tenancy().platform, tenancy().ring, user_id)
    with _transaction(user_id) as transaction:
        codes = second_factors.renew_recovery_codes(transaction, user_id, secret, body["code"])
        throttles.forget(transaction, tried)
    return {"recovery_codes": codes}, 200, SHOWN_ONCE


@blueprint.route("/disable", methods=["POST"])
@authenticated
@blueprint.arguments(PasswordAndCodeSchema)
@blueprint.response(204, description="Logins take no code any more.")
def disable(body: dict[str, Any]) -> None:
    """Remove the second factor, with the password and a code or a recovery code."""
    user_id, _ = signed_in_user()
    tried = confirm_password(user_id, body["password"])
    secret = second_factors.opened(tenancy().platform, tenancy().ring, user_id)
    with _transaction(user_id) as transaction:
        second_factors.disable(transaction, user_id, secret, body["code"])
        throttles.forget(transaction, tried)


@contextmanager
def _transaction(user_id: UUID) -> Iterator[Transaction]:
    """One of the user's. A wrong code is the payload's fault here: the caller is signed in, and stays so."""
    try:
        with tenancy().platform.session(user_scope(user_id)) as transaction:
            yield transaction
    except InvalidCode as error:
        raise InvalidPayload(error.detail, errors=(FieldError("/code", InvalidCode.code, error.title),)) from None

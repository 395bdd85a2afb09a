"""Accounts and logins."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import request
from flask_smorest import Blueprint

from domain.errors import InvalidCredentials, MfaRequired, NotFound
from domain.identity.emails import normalise_email
from domain.identity.links import Purpose
from domain.identity.passwords import check_password, hash_password, needs_rehash, verify_password
from domain.identity.sessions import ACCESS_LIFETIME
from jobs.account_mail import link_job, operator_tenant
from jobs.hints import hints
from jobs.submit import insert
from tenancy.audit import noted
from tenancy.database import NO_SCOPE, tenant_scope
from tenancy.identity import memberships, sessions, throttles, users
from tenancy.identity.sessions import Device, Login
from web import tokens
from web.attempts import login_attempt
from web.auth import authenticated, public, signed_in_user
from web.context import principal, tenancy
from web.job_submissions import of_this_request
from web.offload import offload
from web.schemas.auth import (
    LoginSchema,
    MeSchema,
    RefreshSchema,
    RegisterSchema,
    SessionListSchema,
    SwitchSchema,
    TokensSchema,
    UserSchema,
)

blueprint = Blueprint("auth", __name__, url_prefix="/auth", description="Accounts, logins, tokens, sessions")
blueprint.record(lambda state: tokens.install(state.app))

NO_STORE = {"Cache-Control": "no-store"}
"""For answers that carry a token (RFC 6749, section 5.1)."""


@blueprint.route("/register", methods=["POST"])
@public
@blueprint.arguments(RegisterSchema)
@blueprint.response(201, UserSchema)
def register(account: dict[str, Any]) -> dict[str, Any]:
    """Make an account. A mail asks to verify its address.

    It belongs to no tenant yet: sign in and create one, or be invited. Where the platform asks for verified addresses,
    creating and inviting take one; signing in does not.
    """
    email = normalise_email(account["email"])
    check_password(account["password"], email)
    password_hash = offload(hash_password, account["password"])
    operator = operator_tenant(tenancy())
    with tenancy().platform.session(tenant_scope(operator)) as transaction:
        made = users.insert(transaction, email=email, name=account["name"], password_hash=password_hash)
        insert(transaction, tenancy(), of_this_request(link_job(operator, Purpose.VERIFY_EMAIL, email)))
    hints(tenancy().settings).due()
    return made


@blueprint.route("/login", methods=["POST"])
@public
@blueprint.arguments(LoginSchema)
@blueprint.response(200, TokensSchema)
@blueprint.alt_response(401, "UNAUTHORIZED")
@blueprint.alt_response(429, "TOO_MANY_REQUESTS")
def login(credentials: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Sign in.

    An unknown email and a wrong password answer the same, after the same work. Five failures in a row lock an email, whether
    an account has it or not, for 30 seconds, each further one for twice as long, up to 15 minutes; many failures from one
    address lock that. An account with a second factor answers `mfa_required` to the right password: send it again with
    `code`, which is good once.
    """
    platform = tenancy().platform
    email, tried = login_attempt(credentials["email"])
    candidate = users.begin_login(platform, email, tried)
    password = credentials["password"]
    password_hash = None if candidate is None else candidate.password_hash
    if not offload(verify_password, password_hash, password) or candidate is None:
        account = "user:unknown" if candidate is None else f"user:{candidate.user_id}"
        typed = email if "@" in email else None  # else it may be a password in the wrong field
        platform.fetch(*noted(NO_SCOPE, "login.failed", account, after={"email": typed}))
        raise InvalidCredentials("Check both; after several failures, wait before you try again.")
    rehashed = offload(hash_password, password) if needs_rehash(candidate.password_hash) else None
    try:
        opened = users.finish_login(
            platform, tenancy().ring, candidate, tried, _device(), code=credentials["code"], rehashed=rehashed
        )
    except MfaRequired:
        throttles.forgive(platform, tried)
        raise
    return _tokens(opened)


@blueprint.route("/refresh-token", methods=["POST"])
@public
@blueprint.arguments(RefreshSchema)
@blueprint.response(200, TokensSchema)
@blueprint.alt_response(401, "UNAUTHORIZED")
def refresh(body: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Exchange a refresh token for new tokens.

    Each is good for one exchange, 30 days long. One that is used again revokes its session, since someone else may hold
    it; only the token used last is answered again for 10 seconds, for clients that lost the answer.
    """
    return _tokens(sessions.exchange(tenancy().platform, body["refresh_token"]))


@blueprint.route("/logout", methods=["POST"])
@authenticated
@blueprint.response(204)
def logout() -> None:
    """End this session. Its tokens stop working at once."""
    sessions.revoke(tenancy().platform, *signed_in_user())


@blueprint.route("/logout-all", methods=["POST"])
@authenticated
@blueprint.response(204)
def logout_all() -> None:
    """End every session of the user, on every device."""
    user_id, _ = signed_in_user()
    sessions.revoke_all(tenancy().platform, user_id)


@blueprint.route("/switch", methods=["POST"])
@authenticated
@blueprint.arguments(SwitchSchema)
@blueprint.response(200, TokensSchema)
def switch(body: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Get tokens that are bound to a tenant of the user and refuse every other.

    They belong to a session of their own, which ends no later than this one would; this one goes on.
    """
    user_id, session_id = signed_in_user()
    platform = tenancy().platform
    if not memberships.is_member(platform, user_id, body["tenant_id"]):
        raise NotFound("There is no such tenant, or the caller is no member of it.")
    with platform.session(NO_SCOPE) as transaction:
        bound = sessions.bind_session(transaction, session_id, _device(), body["tenant_id"])
    return _tokens(bound)


@blueprint.route("/me", methods=["GET"])
@authenticated
@blueprint.response(200, MeSchema)
def read_me() -> dict[str, Any]:
    """Who is asking, and what they may do in the selected tenant. For an API key, `user` is whom it acts for."""
    who = principal()
    if who.user_id is None:
        raise NotFound("The caller is no user.")
    return {
        "subject": who.subject,
        "user": users.get(tenancy().platform, who.user_id),
        "session_id": who.session_id,
        "api_key_id": who.api_key_id,
        "tenant_id": who.tenant_id,
        "permissions": sorted(who.permissions),
    }


@blueprint.route("/sessions", methods=["GET"])
@authenticated
@blueprint.response(200, SessionListSchema)
def list_sessions() -> dict[str, Any]:
    """List the user's live sessions, newest first."""
    user_id, session_id = signed_in_user()
    rows = sessions.sessions_of(tenancy().platform, user_id)
    return {"items": [{**row, "current": row["id"] == session_id} for row in rows], "next_cursor": None}


@blueprint.route("/sessions/<uuid:session_id>", methods=["DELETE"])
@authenticated
@blueprint.response(204)
def end_session(session_id: UUID) -> None:
    """End one of the user's sessions."""
    user_id, _ = signed_in_user()
    sessions.revoke(tenancy().platform, user_id, session_id)


def _tokens(login: Login) -> tuple[dict[str, Any], int, dict[str, str]]:
    body = {
        "access_token": tokens.issue(login.user_id, login.session_id, login.tenant_id),
        "token_type": "Bearer",
        "expires_in": int(ACCESS_LIFETIME.total_seconds()),
        "refresh_token": login.refresh_token,
        "session_id": login.session_id,
        "tenant_id": login.tenant_id,
    }
    return body, 200, NO_STORE


def _device() -> Device:
    return Device(address=request.remote_addr or "", user_agent=request.headers.get("User-Agent", ""))

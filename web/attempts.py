"""Proving who one is with a password: counted, whoever asks."""

from __future__ import annotations

from uuid import UUID

from flask import request

from domain.errors import FieldError, InvalidPayload
from domain.identity.emails import normalise_email
from domain.identity.passwords import verify_password
from tenancy.identity import users
from tenancy.identity.throttles import Attempt, attempt
from web.context import tenancy
from web.offload import offload


def login_attempt(text: str) -> tuple[str, Attempt]:
    """The email that was typed, and an attempt on it from this request's address. What is no address is no account's."""
    try:
        email = normalise_email(text)
    except InvalidPayload:
        email = text
    return email, attempt(email, request.remote_addr or "", tenancy().settings.login_address_failures)


def confirm_password(user_id: UUID, password: str) -> Attempt:
    """Make sure that it is the user who asks, and not only someone at their session.

    It counts as a failed login until the caller forgets it (`throttles.forget`), after all else that was asked proved right.
    Raises `InvalidPayload` for another password, and `LoginThrottled` after several.
    """
    platform = tenancy().platform
    email, tried = login_attempt(users.get(platform, user_id)["email"])
    candidate = users.begin_login(platform, email, tried)
    if candidate is None or not offload(verify_password, candidate.password_hash, password):
        fault = FieldError("/password", "wrong_password", "This is not the account's password.")
        raise InvalidPayload("The password is wrong.", errors=(fault,))
    return tried

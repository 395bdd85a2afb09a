"""Passwords: what is accepted, and Argon2id with OWASP's parameters (19 MiB, 2 passes, 1 lane).

Source: OWASP Password Storage Cheat Sheet; RFC 9106. Hashing takes tens of milliseconds: callers on an event loop
run it in a thread.
"""

from __future__ import annotations

import os
from base64 import b64encode

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from domain.errors import FieldError, InvalidPayload

SHORTEST, LONGEST = 12, 256
"""In characters. There are no rules on kinds of characters: they make passwords worse (OWASP ASVS 5.0, 6.2.5)."""

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)


def _hash_of_nobody() -> str:
    """A hash in PHC form that took no hashing: chance's salt and digest, which no password is known to give."""
    salt, digest = (b64encode(os.urandom(size)).decode().rstrip("=") for size in (_HASHER.salt_len, _HASHER.hash_len))
    costs = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${digest}"


_NOBODY = _hash_of_nobody()


def check_password(password: str, email: str) -> None:
    """Raise `InvalidPayload` unless the password is long enough, not too long and does not contain the email's name."""
    name = email.partition("@")[0].lower()
    if len(password) < SHORTEST:
        raise _refused("password_too_short", f"A password has at least {SHORTEST} characters.")
    if len(password) > LONGEST:
        raise _refused("password_too_long", f"A password has at most {LONGEST} characters.")
    if len(name) >= 3 and name in password.lower():
        raise _refused("password_contains_email", "A password does not contain the name part of the email.")


def hash_password(password: str) -> str:
    """The Argon2id hash in PHC form."""
    return _HASHER.hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether the password is the one. For None (nobody) it takes as long and says no."""
    try:
        _HASHER.verify(password_hash or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(password_hash)


def _refused(code: str, detail: str) -> InvalidPayload:
    return InvalidPayload(detail, errors=(FieldError("/password", code, detail),))

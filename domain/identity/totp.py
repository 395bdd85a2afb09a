"""Second factors: time-based one-time passwords (RFC 6238: SHA-1, 30 s, 6 digits, as every authenticator app takes them)
and recovery codes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime

import pyotp

STEP_SECONDS = 30
DRIFT = 1
"""Steps before and after the present one that are accepted: clocks differ, and people type slowly (RFC 6238, 5.2)."""
DIGITS = 6
RECOVERY_CODES = 10

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without what is easily misread."""
_CODE_LENGTH = 16


def new_secret() -> str:
    """160 random bits in base32, as RFC 4226 recommends."""
    return pyotp.random_base32(32)


def enrolment_uri(secret: str, account: str, issuer: str) -> str:
    """The `otpauth://` address that an app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)


def matching_step(secret: str, code: str, now: datetime, last_step: int | None) -> int | None:
    """The time step whose code this is, or None. A step that was used, or any before it, does not count again."""
    present = int(now.timestamp()) // STEP_SECONDS
    codes = pyotp.HOTP(secret, digits=DIGITS)
    found = None
    for step in range(present - DRIFT, present + DRIFT + 1):
        is_new = last_step is None or step > last_step
        if hmac.compare_digest(codes.at(step).encode(), code.encode()) and is_new and step >= 0:
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Codes that stand in for the app once each; about 79 bits, so a plain hash keeps them."""
    return [
        "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(_CODE_LENGTH // 4))
        for _ in range(RECOVERY_CODES)
    ]


def recovery_hash(code: str) -> bytes | None:
    """What is stored of a recovery code, however it was typed; None for what cannot be one."""
    plain = code.strip().lower().replace("-", "").replace(" ", "")
    if len(plain) != _CODE_LENGTH or not set(plain) <= set(_ALPHABET):
        return None
    return hashlib.sha256(plain.encode()).digest()

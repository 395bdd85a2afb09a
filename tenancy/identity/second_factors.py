"""Second factors of accounts. A code is good once: the time step of the latest one used stands in the row.

Secrets are opened and sealed outside of transactions, for the master key may lie at a key service.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session as Transaction

from domain.errors import Conflict, InvalidCode, MfaRequired
from domain.identity.totp import DIGITS, matching_step, new_recovery_codes, new_secret, recovery_hash
from models.platform import SecondFactor
from tenancy.audit import record
from tenancy.database import Database, Row
from tenancy.identity.sealing import open_sealed, seal
from tenancy.scopes import user_scope
from tenancy.vault import MasterRing, SealBroken

_STATE: LiteralString = """
SELECT activated_at, cardinality(recovery_hashes) AS recovery_codes_left FROM second_factors
 WHERE user_id = %(user_id)s AND activated_at IS NOT NULL
"""
_UNDER_OTHERS: LiteralString = """
SELECT user_id, secret_sealed FROM second_factors
 WHERE substring(secret_sealed FROM 1 FOR length(%(active)s)) <> %(active)s
"""
_REPLACE: LiteralString = """
UPDATE second_factors SET secret_sealed = %(new)s WHERE user_id = %(user_id)s AND secret_sealed = %(old)s
RETURNING user_id
"""
_STORED: LiteralString = "SELECT secret_sealed FROM second_factors WHERE user_id = %(user_id)s"


def state(platform: Database, user_id: UUID) -> Row:
    """Whether the account is asked for a code at logins, since when, and how many recovery codes are left."""
    rows = platform.fetch(_STATE, {"user_id": user_id}, user_scope(user_id))
    return {"enabled": True, **rows[0]} if rows else {"enabled": False, "activated_at": None, "recovery_codes_left": 0}


log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it is stored, and opened."""

    sealed: bytes
    text: str = field(repr=False)


def mint(ring: MasterRing, user_id: UUID) -> Secret:
    """A new secret for the account, kept nowhere yet."""
    text = new_secret()
    return Secret(seal(ring, text.encode(), _place(user_id)), text)


def opened(platform: Database, ring: MasterRing, user_id: UUID) -> Secret | None:
    """The account's secret, active or not; None if it has none."""
    rows = platform.fetch(_STORED, {"user_id": user_id}, user_scope(user_id))
    if not rows:
        return None
    sealed = bytes(rows[0]["secret_sealed"])
    return Secret(sealed, open_sealed(ring, sealed, _place(user_id)).decode())


def enrol(transaction: Transaction, user_id: UUID, secret: Secret) -> None:
    """Keep a new secret, in place of one that was never activated. Raises `Conflict` if a second factor is active."""
    factor = _locked(transaction, user_id)
    if factor is not None and factor.activated_at is not None:
        raise Conflict("The account has a second factor; disable it first.")
    if factor is None:
        transaction.add(SecondFactor(user_id=user_id, secret_sealed=secret.sealed))
    else:
        factor.secret_sealed, factor.last_step = secret.sealed, None
    transaction.flush()


def activate(transaction: Transaction, user_id: UUID, secret: Secret | None, code: str) -> list[str]:
    """Ask for codes from now on; returns the recovery codes, which are kept nowhere.

    Raises `Conflict` if nothing was enrolled or it is active already, and `InvalidCode`.
    """
    factor = _locked(transaction, user_id)
    if factor is None or factor.activated_at is not None:
        raise Conflict("There is nothing to activate; enrol first.")
    _use(transaction, factor, secret, code)
    factor.activated_at = _now(transaction)
    record(transaction, "user.second_factor_activated", f"user:{user_id}", of_platform=True)
    return _renew_codes(factor)


def renew_recovery_codes(transaction: Transaction, user_id: UUID, secret: Secret | None, code: str) -> list[str]:
    """New recovery codes in place of all old ones. Raises `Conflict` without a second factor, and `InvalidCode`."""
    factor = _active(transaction, user_id)
    _use(transaction, factor, secret, code)
    record(transaction, "user.recovery_codes_renewed", f"user:{user_id}", of_platform=True)
    return _renew_codes(factor)


def disable(transaction: Transaction, user_id: UUID, secret: Secret | None, code: str) -> None:
    """Ask for no code any more. Raises `Conflict` without a second factor, and `InvalidCode`."""
    factor = _active(transaction, user_id)
    _use(transaction, factor, secret, code)
    record(transaction, "user.second_factor_disabled", f"user:{user_id}", of_platform=True)
    transaction.delete(factor)


def check(transaction: Transaction, user_id: UUID, secret: Secret | None, code: str | None) -> None:
    """Use up the code of a login, if the account has a second factor. Raises `MfaRequired` and `InvalidCode`."""
    factor = _locked(transaction, user_id)
    if factor is None or factor.activated_at is None:
        return
    if code is None:
        raise MfaRequired("Send the code of your app, or a recovery code, as `code`.")
    _use(transaction, factor, secret, code)


def remove(transaction: Transaction, user_id: UUID) -> None:
    """Remove a second factor without its code."""
    transaction.execute(delete(SecondFactor).where(SecondFactor.user_id == user_id))


def rewrap(platform: Database, ring: MasterRing) -> int:
    """Seal anew, under the active master key, each secret that another one seals; returns how many. For the engine's account.

    One whose master key is not in the ring is left as it is. Raises `Transient` while a key service is away.
    """
    written = 0
    for row in platform.fetch(_UNDER_OTHERS, {"active": ring.active_id.encode() + b"\0"}):
        old, place = bytes(row["secret_sealed"]), _place(row["user_id"])
        try:
            new = seal(ring, open_sealed(ring, old, place), place)
        except SealBroken:
            log.warning("second_factor.unreadable", user_id=str(row["user_id"]))
            continue
        written += len(platform.fetch(_REPLACE, {"user_id": row["user_id"], "old": old, "new": new}))
    return written


def _use(transaction: Transaction, factor: SecondFactor, secret: Secret | None, code: str) -> None:
    """Use up a code within the transaction, which holds the row. A secret that is no longer the stored one opens nothing."""
    typed = code.strip().replace(" ", "")
    is_code = len(typed) == DIGITS and typed.isascii() and typed.isdigit()
    if is_code and secret is not None and secret.sealed == bytes(factor.secret_sealed):
        step = matching_step(secret.text, typed, _now(transaction), factor.last_step)
        if step is not None:
            factor.last_step = step
            return
    hashed = recovery_hash(code)
    if hashed is None or factor.activated_at is None or hashed not in map(bytes, factor.recovery_hashes):
        raise InvalidCode("Wait for the next code of your app, or send a recovery code that you have not used.")
    factor.recovery_hashes = [kept for kept in map(bytes, factor.recovery_hashes) if kept != hashed]


def _renew_codes(factor: SecondFactor) -> list[str]:
    codes = new_recovery_codes()
    factor.recovery_hashes = [hashed for hashed in map(recovery_hash, codes) if hashed is not None]
    return codes


def _active(transaction: Transaction, user_id: UUID) -> SecondFactor:
    factor = _locked(transaction, user_id)
    if factor is None or factor.activated_at is None:
        raise Conflict("The account has no second factor.")
    return factor


def _locked(transaction: Transaction, user_id: UUID) -> SecondFactor | None:
    return transaction.scalar(select(SecondFactor).where(SecondFactor.user_id == user_id).with_for_update())


def _now(transaction: Transaction) -> datetime:
    now: Any = transaction.scalar(select(func.clock_timestamp()))
    moment: datetime = now
    return moment


def _place(user_id: UUID) -> str:
    return f"second_factors|{user_id}"

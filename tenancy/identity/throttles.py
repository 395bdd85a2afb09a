"""Failed logins, counted by account and by address in PostgreSQL, so that no flushed cache forgets them.

An attempt counts before the password is looked at, so that guesses sent all at once count as well. One that turns out
right takes its count back. What is locked is locked for emails that no account has, too: it tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from sqlalchemy.orm import Session as Transaction

from domain.identity.lockout import ACCOUNT_ALLOWANCE, DELAYS, QUIET, account_subject, address_subject
from tenancy.database import Database

# Rows are taken in the order of their subjects, so that two attempts never wait for each other.
COUNT: LiteralString = """
WITH asked AS (
  SELECT subject, allowance FROM unnest(%(subjects)s::bytea[], %(allowances)s::int[]) AS a (subject, allowance)
), locked AS (
  SELECT max(t.locked_until) AS until FROM login_throttles t
   WHERE t.subject = ANY(%(subjects)s::bytea[]) AND t.locked_until > now()
), counted AS (
  INSERT INTO login_throttles AS t (subject, failures, allowance)
  SELECT a.subject, 1, a.allowance FROM asked a, locked WHERE locked.until IS NULL ORDER BY a.subject
  ON CONFLICT (subject) DO UPDATE
     SET failures = CASE WHEN t.failed_at < now() - %(quiet)s THEN 1 ELSE t.failures + 1 END,
         allowance = excluded.allowance,
         locked_until = now() + (%(delays)s::interval[])[least(
             CASE WHEN t.failed_at < now() - %(quiet)s THEN 1 ELSE t.failures + 1 END - excluded.allowance,
             cardinality(%(delays)s::interval[]))],
         failed_at = now()
   WHERE t.locked_until IS NULL OR t.locked_until <= now()
  RETURNING subject
)
SELECT (SELECT count(*) FROM counted) = cardinality(%(subjects)s::bytea[]) AS counted,
       (SELECT extract(epoch FROM until - now())::float8 FROM locked) AS locked_for
"""
_FORGIVE: LiteralString = """
UPDATE login_throttles SET failures = greatest(failures - 1, 0), locked_until = NULL WHERE subject = ANY(%(subjects)s)
"""
_FORGET: LiteralString = "DELETE FROM login_throttles WHERE subject = ANY(%(subjects)s)"

_LOST_RACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try to prove who one is: for which account, from where. `allowances` are in the order of the subjects."""

    account: bytes
    address: bytes
    allowances: tuple[int, int]

    @property
    def subjects(self) -> Sequence[bytes]:
        """What it counts under."""
        return [self.account, self.address]

    @property
    def parameters(self) -> dict[str, object]:
        """For `COUNT`."""
        return {
            "subjects": self.subjects, "allowances": list(self.allowances), "delays": DELAYS, "quiet": QUIET,
        }  # fmt: skip


def attempt(email: str, address: str, address_allowance: int) -> Attempt:
    """An attempt on an email, normalised or not, from an address that may fail so often before it has to wait."""
    return Attempt(account_subject(email), address_subject(address), (ACCOUNT_ALLOWANCE, address_allowance))


def wait_seconds(row: dict[str, object]) -> float | None:
    """What a row of `COUNT` says: None if the attempt was counted and may go on, else the seconds to wait."""
    if row["counted"]:
        return None
    locked_for = row["locked_for"]
    return float(locked_for) if isinstance(locked_for, float) else _LOST_RACE_SECONDS


def forgive(platform: Database, tried: Attempt) -> None:
    """Take back one count, and the lock that it set: the attempt was right so far, and is to be made again."""
    platform.fetch(_FORGIVE, {"subjects": tried.subjects})


def unlock(transaction: Transaction, email: str) -> None:
    """Forget an account's failures: its owner has shown who they are in another way."""
    transaction.connection().exec_driver_sql(_FORGET, {"subjects": [account_subject(email)]})


def forget(transaction: Transaction, tried: Attempt) -> None:
    """The attempt was right: the account's failures are forgotten. The address only gets this one back, or whoever has an
    account could guess at others' for ever.
    """
    connection = transaction.connection()
    changes = {tried.address: _FORGIVE, tried.account: _FORGET}
    for subject in sorted(changes):
        connection.exec_driver_sql(changes[subject], {"subjects": [subject]})

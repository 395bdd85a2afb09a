"""How a program begins: with settings that work and a database that it may serve, or not at all, with a line for each problem."""

from __future__ import annotations

import sys

import psycopg
import sqlalchemy.exc

from config.settings import Settings, SettingsError, current
from tenancy.access import Tenancy

WRONG, AWAY = 2, 1
"""Exit codes: starting again does not help; it will when the server is back."""

_AWAY = (psycopg.OperationalError, sqlalchemy.exc.OperationalError, sqlalchemy.exc.TimeoutError)


def settings() -> Settings:
    """This process's settings. Ends the process if they cannot work."""
    try:
        return current()
    except SettingsError as error:
        raise _ended(WRONG, *error.problems) from None


def check(tenancy: Tenancy) -> None:
    """End the process under an account that policies do not bind, on a schema that it cannot serve, without the database.

    It ends by `SystemExit`: Celery's signals swallow what is an `Exception`, and a worker would go on unchecked.
    """
    try:
        tenancy.check()
    except SettingsError as error:
        raise _ended(WRONG, *error.problems) from None
    except _AWAY as error:
        raise _ended(
            AWAY, f"DATABASE_ENGINE_URL: the database cannot be reached: {str(error).strip().splitlines()[0]}"
        ) from None


def _ended(code: int, *problems: str) -> SystemExit:
    print(*problems, sep="\n", file=sys.stderr, flush=True)
    return SystemExit(code)

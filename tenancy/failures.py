"""What an error of a tenant's database means to those who asked."""

from __future__ import annotations

import psycopg
from psycopg import errors
from sqlalchemy.exc import DBAPIError, OperationalError

from domain.errors import JobError, NotNow, TenantUpgrading, Transient
from tenancy.migrations import older
from tenancy.reach import Reach, Unreachable

UPGRADE_SECONDS = 10.0
"""When to ask again for what a migration brings: a wave passes a database in less, but it may have to wait for its turn."""

_NOT_THERE_YET = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.UndefinedObject,
    errors.InvalidColumnReference,  # ON CONFLICT on a unique index that is still to come
    errors.CheckViolation,  # of a list of values that is still to grow
)


class TenantAway(NotNow):
    """A tenant's database cannot be reached, and nothing was done. `reach` is what is known of it now."""

    def __init__(self, cause: Unreachable):
        detail = "The tenant's database cannot be reached."
        super().__init__(detail, code="tenant_database_down", retry_after=cause.retry_after)
        self.reach: Reach = cause.reach


def meaning_of(error: DBAPIError | psycopg.Error, schema_version: str | None) -> JobError | None:
    """The error of our vocabulary that this one stands for; None if it is a bug.

    `schema_version` is the revision that the catalog tells of the database. What is missing in one that is behind is on its way.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, Unreachable):
        return TenantAway(cause)
    if isinstance(cause, _NOT_THERE_YET):
        if schema_version not in older("tenant"):
            return None
        return NotNow(
            "The tenant's database is being brought to this version; what was asked for works when that is done.",
            code=TenantUpgrading.code,
            retry_after=UPGRADE_SECONDS,
        )
    lost = isinstance(error, OperationalError) or (isinstance(error, DBAPIError) and error.connection_invalidated)
    if lost or isinstance(error, psycopg.OperationalError):
        return Transient("The tenant's database cannot be reached.", code="tenant_database_down")
    return None

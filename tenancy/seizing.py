"""The one connection through which a tenant is made or unmade: who comes later takes it from who came before.

What the servers are asked for (roles, databases) knows no lease. A worker that was frozen and wakes, or the backend of
one that was killed, must not go on making what another is already unmaking. So all of it goes through a connection that
holds the tenant's advisory lock, and a newcomer that may act ends the holder's connection.
"""

from __future__ import annotations

from typing import Any, LiteralString
from uuid import UUID

import psycopg

from domain.errors import Transient
from tenancy.database import Database

PATIENCE: LiteralString = "5s"
"""How long a holder may go on before it is ended: long enough for one that is just finishing."""

STEP_PATIENCE: LiteralString = "60s"
"""How long a statement may wait for a lock of someone else."""

_LOCK: LiteralString = "SELECT pg_advisory_lock(hashtext('nexus provisioning'), hashtext(%(tenant)s))"

_END_HOLDER: LiteralString = """
SELECT pg_terminate_backend(l.pid, 5000)
  FROM pg_locks l JOIN pg_database d ON d.oid = l.database
 WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
   AND l.classid = hashtext('nexus provisioning')::oid AND l.objid = hashtext(%(tenant)s)::oid
"""


def seize(owner: Database, tenant_id: UUID) -> psycopg.Connection[Any]:
    """A connection of the owner that holds the tenant's lock until it is closed.

    Raises `Transient` (`provisioning_contended`) if the lock is not to be had.
    """
    connection = owner.connect()
    try:
        connection.execute(f"SET lock_timeout = '{PATIENCE}'")
        try:
            connection.execute(_LOCK, {"tenant": str(tenant_id)})
        except psycopg.errors.LockNotAvailable:
            connection.execute(_END_HOLDER, {"tenant": str(tenant_id)})
            connection.execute(_LOCK, {"tenant": str(tenant_id)})
        connection.execute(f"SET lock_timeout = '{STEP_PATIENCE}'")
    except psycopg.errors.LockNotAvailable as error:
        connection.close()
        raise Transient("The tenant is being made or unmade elsewhere.", code="provisioning_contended") from error
    except BaseException:
        connection.close()
        raise
    return connection

"""Acting on a tenant alone: whoever makes, moves or unmakes one holds it, and what a slower one writes is not taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from config.settings import Settings
from domain.errors import Transient
from tenancy.access import Tenancy
from tenancy.audit import audited
from tenancy.database import Database, Row, tenant_scope
from tenancy.seizing import seize


def anyone() -> None:
    """Outside a job there is no lease to lose."""


class Hold:
    """One tenant, held by one process at a time through a connection of the owner (`tenancy.seizing`).

    `confirm` raises if the caller may no longer act, for example because its job's lease was lost. It is asked once nobody else
    can act on the tenant. From then on the tenant's `version` fences: the writes of one that another has overtaken change
    nothing and raise `Transient` (`provisioning_superseded`).
    """

    def __init__(self, settings: Settings, tenancy: Tenancy, tenant_id: UUID, confirm: Callable[[], None] = anyone):
        self.tenancy = tenancy
        self.tenant_id = tenant_id
        self.version = tenancy.record(tenant_id).version
        self._confirm = confirm
        self._owner = Database(settings.owner_dsn, pool_size=1, application_name="nexus provisioning")
        self._seized: psycopg.Connection[Any] | None = None

    @contextmanager
    def server(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection that holds the tenant's lock. Raises `Transient` when it is lost, or was taken over."""
        try:
            if self._seized is None:
                self._seized = seize(self._owner, self.tenant_id)
            yield self._seized
        except psycopg.OperationalError as error:
            raise Transient("The tenant's database server failed.", code="server_unavailable") from error

    def take(self, statement: LiteralString, *, noting: str | None = None, **parameters: Any) -> bool:
        """Shut out everybody else, then raise the tenant's version by `statement`, which returns it; False if it is not in a
        state for that. With `noting`, the audit is told of this action.
        """
        with self.server():
            self._confirm()
        rows = self._write(statement, parameters, noting)
        if rows:
            self.version = rows[0]["version"]
        return bool(rows)

    def update(self, statement: LiteralString, *, noting: str | None = None, **parameters: Any) -> Row:
        """Write to the tenant's row as long as its version is the one that this hold raised it to; what it returns."""
        rows = self._write(statement, {**parameters, "version": self.version}, noting)
        if not rows:
            raise superseded()
        return rows[0]

    def close(self) -> None:
        """Close the owner's connections, and let others act on the tenant."""
        if self._seized is not None:
            self._seized.close()
            self._seized = None
        self._owner.dispose()

    def _write(self, statement: LiteralString, parameters: dict[str, Any], noting: str | None) -> list[Row]:
        scope, bound = tenant_scope(self.tenant_id), {**parameters, "id": self.tenant_id}
        if noting is not None:
            statement, bound = audited(statement, bound, scope, noting, f"tenant:{self.tenant_id}")
        rows = self.tenancy.platform.fetch(statement, bound, scope)
        self.tenancy.directory.forget(self.tenant_id)
        return rows


def superseded() -> Transient:
    """Something else has written to the tenant's row."""
    return Transient("Something else has changed the tenant meanwhile.", code="provisioning_superseded")

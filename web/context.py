"""What a request may reach: the process's tenancy and watcher, and who is asking."""

from __future__ import annotations

from uuid import UUID

from flask import current_app, g

from domain.errors import TenantRequired, Unauthenticated
from domain.identity.principals import Principal
from jobs.watch import Watcher
from tenancy.access import Tenancy


def tenancy() -> Tenancy:
    """The process's door to the databases."""
    door: Tenancy = current_app.extensions["nexus.tenancy"]
    return door


def watcher() -> Watcher:
    """The process's one poller for all who wait for jobs."""
    poller: Watcher = current_app.extensions["nexus.watcher"]
    return poller


def principal() -> Principal:
    """Who is asking. Raises `Unauthenticated` on a route that did not ask for credentials."""
    who: Principal | None = g.get("principal")
    if who is None:
        raise Unauthenticated
    return who


def tenant_id() -> UUID:
    """The selected tenant. Raises `TenantRequired`."""
    selected = principal().tenant_id
    if selected is None:
        raise TenantRequired("Select a tenant with the header X-Project-ID.")
    return selected

"""Submitting a job together with its first children: all due at once, so that nobody waits for the parent to be dispatched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from jobs.bulk import INSERT_MANY, columns_of
from jobs.hints import hints
from jobs.submit import INSERT, NewJob, Submitted, insert_parameters, submit
from tenancy.access import Tenancy
from tenancy.database import tenant_scope


def submit_with_children(tenancy: Tenancy, parent: NewJob, children: Callable[[UUID], Sequence[NewJob]]) -> Submitted:
    """As `submit`, with the children that `children` names for the parent's id: one transaction, one round trip.

    If an earlier submission made the parent there are no new children: the parent's handler makes sure that it has them,
    under the same idempotency keys. Raises as `submit`.
    """
    parameters = insert_parameters(tenancy, parent)
    parent_id, tenant_id = parameters["id"], parameters["tenant_id"]
    rows = [insert_parameters(tenancy, child) for child in children(parent_id)]
    if not rows:
        return submit(tenancy, parent)
    many = columns_of(rows, tenant_id, {parent_id})
    made, _ = tenancy.platform.fetch_many([(INSERT, parameters), (INSERT_MANY, many)], tenant_scope(tenant_id))
    if not made:
        return submit(tenancy, parent)
    hints(tenancy.settings).due()
    return Submitted(made[0], created=True)

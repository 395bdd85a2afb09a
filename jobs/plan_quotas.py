"""Counting against a plan what one job stands for many of. A trigger counts what jobs stand for one of (`plan_allowances`)."""

from __future__ import annotations

from typing import LiteralString

from domain.errors import PlanQuotaExceeded
from jobs.submit import HOLDER, NewJob, Submitted, answer_from, insert_parameters, submit
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope

_TAKE: LiteralString = """
UPDATE plan_allowances SET used = used + %(n)s
 WHERE tenant_id = %(tenant_id)s AND code = %(code)s AND now() < period_end AND (NOT hard OR used + %(n)s <= quota)
RETURNING used
"""
_REFUSING: LiteralString = """
SELECT quota, used, to_char(period_end AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS until FROM plan_allowances
 WHERE tenant_id = %(tenant_id)s AND code = %(code)s AND now() < period_end AND hard AND used + %(n)s > quota
"""
_GIVE_BACK: LiteralString = """
UPDATE plan_allowances SET used = greatest(0, used - %(n)s)
 WHERE tenant_id = %(tenant_id)s AND code = %(code)s AND now() < period_end
"""


def submit_counting(tenancy: Tenancy, new: NewJob, code: str, n: int) -> Submitted:
    """As `submit`, for a job that stands for `n` of what the plan counts as `code`. Raises `PlanQuotaExceeded` besides.

    Taken before and given back if no job was made of it, so two requests do not share what is left. A process that dies in
    between has taken it, until the period ends.
    """
    tenant_id = new.principal.tenant_id
    if tenant_id is None:
        raise LookupError("a job without a tenant")
    wanted = {"tenant_id": tenant_id, "code": code, "n": n}
    scope = tenant_scope(tenant_id)
    taken = bool(tenancy.platform.fetch(_TAKE, wanted, scope))
    for refusing in () if taken else tenancy.platform.fetch(_REFUSING, wanted, scope):
        earlier = _earlier(tenancy, new)
        if earlier is not None:
            return earlier
        left = max(0, refusing["quota"] - refusing["used"])
        raise PlanQuotaExceeded(
            f"The plan allows {refusing['quota']} {code} until {refusing['until']}; {n} were asked for and {left} are left."
        )
    made = False
    try:
        submitted = submit(tenancy, new)
        made = submitted.created
        return submitted
    finally:
        if taken and not made:
            tenancy.platform.fetch(_GIVE_BACK, wanted, scope)


def _earlier(tenancy: Tenancy, new: NewJob) -> Submitted | None:
    """The job that this submission has made before, if it repeats one: that took its part then."""
    parameters = insert_parameters(tenancy, new)
    for holder in tenancy.platform.fetch(HOLDER, parameters, tenant_scope(parameters["tenant_id"])):
        if new.idempotency_key is not None and holder["idempotency_key"] == new.idempotency_key:
            return answer_from(holder, parameters)
    return None

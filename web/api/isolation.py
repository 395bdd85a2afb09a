"""Verifying that tenants are apart: jobs that try what must not work, and report it."""

from __future__ import annotations

from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from jobs.isolation import submit_for_all
from jobs.submit import submit
from web.auth import can, operator
from web.context import tenancy
from web.jobs_response import accepted, new_job
from web.schemas.jobs import JobSchema
from web.schemas.tenants import TenantJobSchema

blueprint = Blueprint("isolation", __name__, description="Trying one tenant's accounts on others, and reporting it")


@blueprint.route("/tenants/<uuid:tenant_id>/verify-isolation", methods=["POST"])
@can("tenant:update")
@blueprint.response(202, JobSchema, description="The job whose result is the report.")
def verify_isolation(tenant_id: UUID) -> Response:
    """Try this tenant's accounts, scope and keys on what belongs to others, and read its database's catalog for gaps.

    The report lists each check with what was tried, what was expected and what was found; `isolated` is false if any
    failed. It names no other tenant.
    """
    return accepted(submit(tenancy(), new_job("tenant.verify_isolation", {})))


@blueprint.route("/admin/verify-isolation", methods=["POST"])
@operator
@blueprint.response(202, TenantJobSchema, description="The job, in the operator's tenant, whose result is the report.")
@blueprint.alt_response(200, schema=TenantJobSchema, description="The job finished while it was waited for.")
@blueprint.doc(parameters=["Wait", "Prefer"])
def verify_all_isolation() -> Response:
    """Do the same for every active tenant and for the platform database.

    Read the job with `tenant_id` selected. Of tenants the report lists the checks that failed.
    """
    submitted, tenant_id = submit_for_all(tenancy(), new_job("platform.verify_isolation", {}))
    return accepted(submitted, tenant_id=tenant_id)

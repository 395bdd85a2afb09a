"""The tenant's whole audit as a file that anybody can verify, made by a job."""

from __future__ import annotations

from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from jobs.submit import submit
from web.audit import download
from web.auth import READABLE, can
from web.context import tenancy, tenant_id
from web.jobs_response import accepted, new_job
from web.schemas.jobs import JobSchema

blueprint = Blueprint("audit_exports", __name__, url_prefix="/audit/exports", description="The audit in a file")

_KIND = "audit.export"


@blueprint.route("", methods=["POST"])
@can("audit:read")
@blueprint.response(202, JobSchema, description="The job that writes the file; its result has the chain's head.")
@blueprint.alt_response(200, schema=JobSchema, description="The finished job, for a client that waited.")
def create_audit_export() -> Response:
    """Write the whole chain of the tenant's changes into a file in its bucket.

    `nexus audit verify FILE` verifies it without the platform. Note the `head` of the result elsewhere.
    """
    return accepted(submit(tenancy(), new_job(_KIND, {})))


@blueprint.route("/<uuid:export_id>", methods=["GET"])
@can("audit:read", states=READABLE)
@blueprint.response(
    200, {"type": "string"}, content_type="application/x-ndjson", description="The chain, an entry on each line."
)
def download_audit_export(export_id: UUID) -> Response:
    """Download what a job has written. `conflict` while it has not finished."""
    return download(tenant_id(), _KIND, export_id)

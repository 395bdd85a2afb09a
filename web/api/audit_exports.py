"""The tenant's whole audit as a file that anybody can verify, made by a job."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from domain.errors import Conflict
from jobs.submissions import submission
from jobs.submit import submit
from tenancy.audit.exporting import key_of
from web.auth import READABLE, can
from web.context import tenancy, tenant_id
from web.jobs_response import accepted, new_job
from web.schemas.jobs import JobSchema

blueprint = Blueprint("audit_exports", __name__, url_prefix="/audit/exports", description="The audit in a file")

_KIND = "audit.export"
_CHUNK = 256 * 1024


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
    if submission(tenancy(), tenant_id(), _KIND, export_id).row["state"] != "succeeded":
        raise Conflict("The export is not finished.")
    stream = tenancy().bucket(tenant_id()).open(key_of(export_id))

    def chunks() -> Iterator[bytes]:
        with stream:
            while chunk := stream.read(_CHUNK):
                yield chunk

    response = Response(chunks(), mimetype="application/x-ndjson", direct_passthrough=True)
    response.headers["Content-Disposition"] = f'attachment; filename="audit-{export_id}.ndjson"'
    response.headers["Cache-Control"] = "no-store"
    return response

"""The platform's own audit, for operators: logins, accounts, and what operators do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from domain.audit.entries import PLATFORM
from jobs.operators import operator_tenant
from jobs.submit import submit
from tenancy.database import Row
from web.audit import download, exported, listed, verified
from web.auth import operator
from web.context import principal, tenancy
from web.jobs_response import accepted
from web.operator_jobs import operator_job
from web.pagination import Envelope
from web.schemas.audit import (
    AuditEntrySchema,
    AuditExportQuerySchema,
    AuditQuerySchema,
    AuditVerdictSchema,
    AuditVerifyQuerySchema,
)
from web.schemas.base import page_schema
from web.schemas.jobs import JobSchema

blueprint = Blueprint("platform_audit", __name__, url_prefix="/admin/audit", description="Logins and what operators do")

_KIND = "platform.audit_export"


@blueprint.route("", methods=["GET"])
@operator
@blueprint.arguments(AuditQuerySchema, location="query")
@blueprint.response(200, page_schema(AuditEntrySchema))
def list_platform_audit_entries(query: dict[str, Any]) -> tuple[Envelope[Row], dict[str, str]]:
    """List logins, also failed ones, changes of accounts, and what operators did."""
    return listed(PLATFORM, query)


@blueprint.route("/verify", methods=["GET"])
@operator
@blueprint.arguments(AuditVerifyQuerySchema, location="query")
@blueprint.response(200, AuditVerdictSchema)
def verify_platform_audit(query: dict[str, Any]) -> dict[str, Any]:
    """Hold a piece of the platform's chain to its hashes. Go on with `next` as `after` until it is null."""
    return verified(PLATFORM, query)


@blueprint.route("/export", methods=["GET"])
@operator
@blueprint.arguments(AuditExportQuerySchema, location="query")
@blueprint.response(200, {"type": "string"}, content_type="application/x-ndjson", description="An entry on each line.")
@blueprint.doc(responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}})
def export_platform_audit(query: dict[str, Any]) -> Response:
    """Download the platform's audit, the oldest first."""
    return exported(PLATFORM, query)


@blueprint.route("/exports", methods=["POST"])
@operator
@blueprint.response(202, JobSchema, description="The job that writes the file; its result has the chain's head.")
@blueprint.alt_response(200, schema=JobSchema, description="The finished job, for a client that waited.")
def create_platform_audit_export() -> Response:
    """Write the platform's whole chain into a file in the operator's bucket.

    `nexus audit verify FILE` verifies it without the platform. Note the `head` of the result elsewhere.
    """
    return accepted(submit(tenancy(), operator_job(_KIND, {"requested_by": principal().subject})))


@blueprint.route("/exports/<uuid:export_id>", methods=["GET"])
@operator
@blueprint.response(
    200, {"type": "string"}, content_type="application/x-ndjson", description="The chain, an entry on each line."
)
def download_platform_audit_export(export_id: UUID) -> Response:
    """Download what a job has written. `conflict` while it has not finished."""
    return download(operator_tenant(tenancy().platform), _KIND, export_id)

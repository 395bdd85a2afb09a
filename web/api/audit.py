"""The audit of the selected tenant: who changed what."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_smorest import Blueprint

from tenancy.database import Row
from web.audit import exported, listed, verified
from web.auth import READABLE, can
from web.context import tenant_id
from web.pagination import Envelope
from web.schemas.audit import (
    AuditEntrySchema,
    AuditExportQuerySchema,
    AuditQuerySchema,
    AuditVerdictSchema,
    AuditVerifyQuerySchema,
)
from web.schemas.base import page_schema

blueprint = Blueprint("audit", __name__, url_prefix="/audit", description="Who changed what")


@blueprint.route("", methods=["GET"])
@can("audit:read", states=READABLE)
@blueprint.arguments(AuditQuerySchema, location="query")
@blueprint.response(200, page_schema(AuditEntrySchema))
def list_audit_entries(query: dict[str, Any]) -> tuple[Envelope[Row], dict[str, str]]:
    """List what was changed in the tenant, and by whom."""
    return listed(tenant_id(), query)


@blueprint.route("/verify", methods=["GET"])
@can("audit:read", states=READABLE)
@blueprint.arguments(AuditVerifyQuerySchema, location="query")
@blueprint.response(200, AuditVerdictSchema)
def verify_audit(query: dict[str, Any]) -> dict[str, Any]:
    """Hold a piece of the tenant's chain to its hashes.

    Go on with `next` as `after` until it is null. Whatever was altered, removed or put elsewhere is among `faults`. Note
    the last `head` elsewhere and send it the next time.
    """
    return verified(tenant_id(), query)


@blueprint.route("/export", methods=["GET"])
@can("audit:read", states=READABLE)
@blueprint.arguments(AuditExportQuerySchema, location="query")
@blueprint.response(200, {"type": "string"}, content_type="application/x-ndjson", description="An entry on each line.")
@blueprint.doc(responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}})
def export_audit(query: dict[str, Any]) -> Response:
    """Download what was changed in the tenant, the oldest first."""
    return exported(tenant_id(), query)

"""The platform's own audit, for operators: logins, accounts, and what operators do."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_smorest import Blueprint

from domain.audit.entries import PLATFORM
from tenancy.database import Row
from web.audit import exported, listed, verified
from web.auth import operator
from web.pagination import Envelope
from web.schemas.audit import (
    AuditEntrySchema,
    AuditExportQuerySchema,
    AuditQuerySchema,
    AuditVerdictSchema,
    AuditVerifyQuerySchema,
)
from web.schemas.base import page_schema

blueprint = Blueprint("platform_audit", __name__, url_prefix="/admin/audit", description="Logins and what operators do")


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

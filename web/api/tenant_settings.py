"""What a tenant sets for itself, and what the operator lets it have."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint

from domain.audit.entries import changed
from domain.tenants.preferences import Preferences
from tenancy.audit import record
from tenancy.database import Row
from tenancy.life import preferences, quotas
from web.auth import READABLE, can
from web.context import tenancy
from web.etags import check_if_match, with_etag
from web.schemas.tenant_life import QuotasSchema, TenantSettingsSchema

blueprint = Blueprint(
    "tenant_settings", __name__, url_prefix="/tenants/<uuid:tenant_id>", description="A workspace's settings and quotas"
)


@blueprint.route("/settings", methods=["GET"])
@can("tenant:read", states=READABLE)
@blueprint.response(200, TenantSettingsSchema)
def get_settings(tenant_id: UUID) -> Response:
    """Read a tenant's settings."""
    return _shown(*preferences.get(tenancy().platform, tenant_id))


@blueprint.route("/settings", methods=["PUT"])
@can("tenant:update")
@blueprint.arguments(TenantSettingsSchema)
@blueprint.response(200, TenantSettingsSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_settings(body: dict[str, Any], tenant_id: UUID) -> Response:
    """Replace a tenant's settings. `If-Match` must carry the `ETag` that was read."""
    with preferences.change(tenancy(), tenant_id) as (session, tenant):
        check_if_match(tenant.preferences_version)
        before, after = changed(tenant.preferences, Preferences(**body).as_json())
        record(session, "tenant.settings_updated", f"tenant:{tenant_id}", before=before, after=after)
        tenant.preferences = Preferences(**body).as_json()
        tenant.preferences_version += 1
        version = tenant.preferences_version
    return _shown(Preferences(**body), version)


@blueprint.route("/quotas", methods=["GET"])
@can("tenant:read", states=READABLE)
@blueprint.response(200, QuotasSchema)
def get_quotas(tenant_id: UUID) -> Row:
    """Read a tenant's quotas and what is used of them."""
    return quotas.shown(tenancy(), tenant_id)


def _shown(found: Preferences, version: int) -> Response:
    return with_etag(make_response(TenantSettingsSchema().dump(found)), version)

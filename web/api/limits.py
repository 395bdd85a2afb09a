"""A tenant's share of the engine, for operators: limits, pause, resume, drain.

The tenant in the path is no selected tenant: operators steer tenants that they are no members of.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint

from domain.jobs.limits import Limits
from jobs import controls, limits
from jobs.controls import Pause, Scope
from tenancy.database import Row
from web.auth import operator
from web.context import principal, tenancy
from web.etags import check_if_match, with_etag
from web.schemas.limits import LimitsSchema, LimitsUpdateSchema
from web.schemas.pauses import PauseCreateSchema, PauseSchema

blueprint = Blueprint(
    "limits", __name__, url_prefix="/admin/tenants", description="How much of the engine a tenant may use"
)


@blueprint.route("/<uuid:tenant>/limits", methods=["GET"])
@operator
@blueprint.response(200, LimitsSchema)
def get_limits(tenant: UUID) -> Response:
    """Read a tenant's limits."""
    return _shown(limits.get(tenancy().platform, tenant))


@blueprint.route("/<uuid:tenant>/limits", methods=["PUT"])
@operator
@blueprint.arguments(LimitsUpdateSchema)
@blueprint.response(200, LimitsSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_limits(body: dict[str, Any], tenant: UUID) -> Response:
    """Set a tenant's limits, all of them. `If-Match` must carry the `ETag` that was read."""
    platform = tenancy().platform
    version: int = limits.get(platform, tenant)["version"]
    check_if_match(version)
    return _shown(limits.put(platform, tenant, Limits(**body), version=version, by=principal().subject))


@blueprint.route("/<uuid:tenant>/pause", methods=["POST"])
@operator
@blueprint.arguments(PauseCreateSchema, required=False)
@blueprint.response(200, PauseSchema)
def pause_tenant(body: dict[str, Any], tenant: UUID) -> Pause:
    """Stop dispatching a tenant's jobs. Those that are dispatched or running go on; pausing again changes nothing."""
    return controls.pause(tenancy().platform, Scope.TENANT, str(tenant), by=principal().subject, reason=body["reason"])


@blueprint.route("/<uuid:tenant>/drain", methods=["POST"])
@operator
@blueprint.arguments(PauseCreateSchema, required=False)
@blueprint.response(200, PauseSchema)
def drain_tenant(body: dict[str, Any], tenant: UUID) -> Pause:
    """Pause a tenant in order to see none of its jobs run: read `/admin/pauses` until it is `drained`."""
    return controls.pause(
        tenancy().platform, Scope.TENANT, str(tenant), by=principal().subject, reason=body["reason"], drain=True
    )


@blueprint.route("/<uuid:tenant>/resume", methods=["POST"])
@operator
@blueprint.response(204)
def resume_tenant(tenant: UUID) -> None:
    """Dispatch a tenant's jobs again."""
    controls.resume(tenancy().platform, Scope.TENANT, str(tenant))


def _shown(found: Row) -> Response:
    return with_etag(make_response(LimitsSchema().dump(found)), found["version"])

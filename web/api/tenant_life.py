"""A tenant's life: suspended and back, exported, restored, moved, deleted and taken back. Each is a job."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from domain.tenants.states import begins
from jobs.submit import submit
from web.auth import can
from web.context import tenancy
from web.jobs_response import accepted, new_job
from web.schemas.jobs import JobSchema
from web.schemas.tenant_life import TenantChangeTierSchema, TenantRestoreSchema

blueprint = Blueprint(
    "tenant_life", __name__, url_prefix="/tenants", description="What happens to a workspace as a whole"
)


@blueprint.route("/<uuid:tenant_id>/suspend", methods=["POST"])
@can("tenant:suspend", states=begins("suspend"))
@blueprint.response(202, JobSchema)
def suspend_tenant(tenant_id: UUID) -> Response:
    """Suspend a tenant: its data is kept, nobody works in it, its jobs wait."""
    return _begun("suspend")


@blueprint.route("/<uuid:tenant_id>/resume", methods=["POST"])
@can("tenant:suspend", states=begins("resume"))
@blueprint.response(202, JobSchema)
def resume_suspended_tenant(tenant_id: UUID) -> Response:
    """Resume a suspended tenant. One that a restore left half done is resumed by a restore that succeeds."""
    return _begun("resume")


@blueprint.route("/<uuid:tenant_id>/export", methods=["POST"])
@can("tenant:export", states=begins("export"))
@blueprint.response(202, JobSchema, description="The archive will have the job's id.")
def export_tenant(tenant_id: UUID) -> Response:
    """Write all of a tenant into one archive in its bucket, as of one moment, while it goes on."""
    return _begun("export", {"kind": "export"}, unique_key="export")


@blueprint.route("/<uuid:tenant_id>/backup", methods=["POST"])
@can("tenant:export", states=begins("export"))
@blueprint.response(202, JobSchema, description="The archive will have the job's id.")
def back_up_tenant(tenant_id: UUID) -> Response:
    """As an export; backups that no rule keeps any more (30 days, 12 months, 7 years) are removed."""
    return _begun("export", {"kind": "backup"}, unique_key="backup")


@blueprint.route("/<uuid:tenant_id>/restore", methods=["POST"])
@can("tenant:restore", states=begins("restore"))
@blueprint.arguments(TenantRestoreSchema)
@blueprint.response(202, JobSchema)
def restore_tenant(body: dict[str, Any], tenant_id: UUID) -> Response:
    """Replace a tenant's data by what an archive holds. Nobody gets in until all is back and verified."""
    return _begun("restore", {"archive_id": str(body["archive_id"])})


@blueprint.route("/<uuid:tenant_id>/change-tier", methods=["POST"])
@can("tenant:update", states=begins("change_tier"))
@blueprint.arguments(TenantChangeTierSchema)
@blueprint.response(202, JobSchema)
def change_tier(body: dict[str, Any], tenant_id: UUID) -> Response:
    """Move a pooled tenant into a database of its own. Meanwhile requests are refused and jobs wait."""
    return _begun("change_tier", body)


@blueprint.route("/<uuid:tenant_id>", methods=["DELETE"])
@can("tenant:delete", states=begins("delete"))
@blueprint.response(202, JobSchema)
def delete_tenant(tenant_id: UUID) -> Response:
    """Close a tenant, to be erased when the grace is over. Until then `undelete` takes it back."""
    return _begun("delete")


@blueprint.route("/<uuid:tenant_id>/undelete", methods=["POST"])
@can("tenant:delete", states=begins("undelete"))
@blueprint.response(202, JobSchema)
def undelete_tenant(tenant_id: UUID) -> Response:
    """Take a deleted tenant back, as long as its erasure has not begun."""
    return _begun("undelete")


def _begun(verb: str, payload: dict[str, Any] | None = None, unique_key: str = "life") -> Response:
    return accepted(submit(tenancy(), new_job(f"tenant.{verb}", payload or {}, unique_key=unique_key)))

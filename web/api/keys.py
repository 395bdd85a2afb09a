"""Master keys, for operators: which are in use, and putting everything under the active one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response
from flask_smorest import Blueprint

from jobs.submit import submit
from tenancy.audit import noted
from tenancy.identity.signing_keys import rewrap_signing_keys
from tenancy.rewrapping import note_ring, uses
from tenancy.scopes import operator_scope
from web.auth import operator
from web.context import principal, tenancy
from web.jobs_response import accepted
from web.operator_jobs import operator_job
from web.schemas.jobs import JobSchema
from web.schemas.keys import MasterKeyListSchema

blueprint = Blueprint("keys", __name__, url_prefix="/admin/keys", description="The platform's master keys")


@blueprint.route("", methods=["GET"])
@operator
@blueprint.response(200, MasterKeyListSchema)
def list_keys() -> dict[str, Any]:
    """List the master keys by id, with what still stands under each, and whether it may leave the ring."""
    return {"items": [asdict(use) for use in uses(tenancy().platform, tenancy().ring)]}


@blueprint.route("/rewrap", methods=["POST"])
@operator
@blueprint.response(
    202, JobSchema, description="The job that wraps the tenants' data keys anew, in the operator's tenant."
)
@blueprint.alt_response(200, schema=JobSchema, description="The job finished while it was waited for.")
def rewrap() -> Response:
    """Put every signing key, and by a job every tenant's data key, under the active master key.

    First every process must have the active key in its ring: add it at the end of `NEXUS_MASTER_KEYS`, restart, then move
    it to the front and restart again.
    """
    platform, ring = tenancy().platform, tenancy().ring
    note_ring(platform, ring)
    rewrap_signing_keys(platform, ring)
    platform.fetch(*noted(operator_scope(), "master_key.rewrapped", f"master_key:{ring.active_id}"), operator_scope())
    payload = {"requested_by": principal().subject}
    return accepted(submit(tenancy(), operator_job("system.rewrap_keys", payload, unique_key="rewrap-keys")))

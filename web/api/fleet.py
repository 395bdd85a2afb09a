"""Migrations of the tenants' databases, for operators: where the fleet is, waves, and drift."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response
from flask_smorest import Blueprint

from jobs import waves
from jobs.submit import submit
from jobs.waves import Wave
from tenancy import fleet
from web.auth import operator
from web.context import principal, tenancy
from web.idempotency import idempotent, new_resource_id
from web.jobs_response import accepted
from web.operator_jobs import operator_job
from web.schemas.fleet import DriftCreateSchema, FleetSchema, WaveCreateSchema, WaveSchema
from web.schemas.jobs import JobSchema

blueprint = Blueprint("fleet", __name__, url_prefix="/admin/fleet", description="The schemas of the tenants' databases")


@blueprint.route("", methods=["GET"])
@operator
@blueprint.response(200, FleetSchema)
def get_fleet() -> dict[str, Any]:
    """Show how many databases are at which revision, and the latest wave. No tenant's database is asked for it."""
    platform = tenancy().platform
    counts, older, newest = fleet.counts(platform), set(fleet.older()), fleet.newest()
    wave = waves.latest(platform)
    return {
        "newest": newest,
        "current": sum(row["databases"] for row in counts if row["version"] == newest),
        "behind": sum(row["databases"] for row in counts if row["version"] in older),
        "revisions": counts,
        "wave": None if wave is None else _shown(wave),
    }


@blueprint.route("/migrate", methods=["POST"])
@operator
@idempotent
@blueprint.arguments(WaveCreateSchema, required=False)
@blueprint.response(202, JobSchema, description="The job that drives the wave, in the operator's tenant.")
@blueprint.alt_response(200, schema=JobSchema, description="The job finished while it was waited for.")
def migrate_fleet(body: dict[str, Any]) -> Response:
    """Start a wave: the canaries first, then cohorts that grow, then the rest.

    A canary that fails, or a migration that fails in any database, stops the wave with a reason. One wave at a time: a second one
    is answered with `conflict`.
    """
    _, submitted = waves.start(tenancy(), new_resource_id(), body["canaries"], principal().subject)
    return accepted(submitted)


@blueprint.route("/pause", methods=["POST"])
@operator
@blueprint.response(200, WaveSchema)
def pause_fleet() -> dict[str, Any]:
    """Let the wave end after the database that it is at."""
    return _shown(waves.pause(tenancy().platform))


@blueprint.route("/resume", methods=["POST"])
@operator
@blueprint.response(200, WaveSchema)
def resume_fleet() -> dict[str, Any]:
    """Let a wave go on that was paused, was stopped by a failure, or lost its job. One that runs is left alone."""
    return _shown(waves.resume(tenancy()))


@blueprint.route("/drift", methods=["POST"])
@operator
@blueprint.arguments(DriftCreateSchema, required=False)
@blueprint.response(202, JobSchema, description="The job that compares, in the operator's tenant.")
@blueprint.alt_response(200, schema=JobSchema, description="The job finished while it was waited for.")
def compare_fleet(body: dict[str, Any]) -> Response:
    """Compare tenants' databases with the template: tables, columns, constraints, policies and grants that differ."""
    payload = {"tenant_ids": [str(each) for each in body["tenant_ids"]], "requested_by": principal().subject}
    return accepted(submit(tenancy(), operator_job("fleet.drift", payload)))


def _shown(wave: Wave) -> dict[str, Any]:
    return {**asdict(wave), "failures": waves.failures(tenancy().platform, wave.id)}

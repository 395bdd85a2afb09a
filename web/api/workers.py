"""Workers, for operators."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask_smorest import Blueprint

from jobs import fleet
from jobs.fleet import RunningJob, Worker
from web.auth import operator
from web.context import tenancy
from web.schemas.workers import WorkerListSchema

blueprint = Blueprint("workers", __name__, url_prefix="/admin/workers", description="Worker processes")


@blueprint.route("", methods=["GET"])
@operator
@blueprint.response(200, WorkerListSchema)
def list_workers() -> dict[str, Any]:
    """List the workers with what they run."""
    return {"items": [_shown(worker) for worker in fleet.workers(tenancy().platform)]}


def _shown(worker: Worker) -> dict[str, Any]:
    return {**asdict(worker), "jobs": [_job(job) for job in worker.jobs]}


def _job(job: RunningJob) -> dict[str, Any]:
    progress = None if job.done is None else {"done": job.done, "total": job.total, "message": job.message or ""}
    return {**asdict(job), "progress": progress}

"""Kinds of job, for operators: how they do, pause, resume, drain."""

from __future__ import annotations

from typing import Any

from flask_smorest import Blueprint

from domain.jobs.batching import full_batch
from jobs import controls
from jobs.controls import Pause, Scope
from jobs.kinds import KINDS, Kind
from jobs.runtimes import Runtime, runtimes
from web.auth import operator
from web.context import principal, tenancy
from web.schemas.kinds import KindStateListSchema
from web.schemas.pauses import PauseCreateSchema, PauseSchema

blueprint = Blueprint("kinds", __name__, url_prefix="/admin/kinds", description="Kinds of job over all tenants")


@blueprint.route("", methods=["GET"])
@operator
@blueprint.response(200, KindStateListSchema)
def list_kind_states() -> dict[str, Any]:
    """List the kinds: how long they take, how many ran and failed, how fast they go."""
    platform = tenancy().platform
    known = runtimes(platform)
    paused = {pause.name: pause for pause in controls.pauses(platform) if pause.scope == Scope.KIND}
    return {"items": [_state(kind, known.get(kind.name), paused.get(kind.name)) for kind in KINDS.values()]}


@blueprint.route("/<name>/pause", methods=["POST"])
@operator
@blueprint.arguments(PauseCreateSchema, required=False)
@blueprint.response(200, PauseSchema)
def pause_kind(body: dict[str, Any], name: str) -> Pause:
    """Stop dispatching jobs of a kind. Those that are dispatched or running go on; pausing again changes nothing."""
    return controls.pause(tenancy().platform, Scope.KIND, name, by=principal().subject, reason=body["reason"])


@blueprint.route("/<name>/drain", methods=["POST"])
@operator
@blueprint.arguments(PauseCreateSchema, required=False)
@blueprint.response(200, PauseSchema)
def drain_kind(body: dict[str, Any], name: str) -> Pause:
    """Pause a kind in order to see none of it run: read `/admin/pauses` until it is `drained`."""
    return controls.pause(
        tenancy().platform, Scope.KIND, name, by=principal().subject, reason=body["reason"], drain=True
    )


@blueprint.route("/<name>/resume", methods=["POST"])
@operator
@blueprint.response(204)
def resume_kind(name: str) -> None:
    """Dispatch jobs of a kind again."""
    controls.resume(tenancy().platform, Scope.KIND, name)


def _state(kind: Kind, runtime: Runtime | None, pause: Pause | None) -> dict[str, Any]:
    mean = None if runtime is None else runtime.mean_seconds
    return {
        "name": kind.name,
        "queue": kind.queue,
        "mean_seconds": mean,
        "runs": 0 if runtime is None else runtime.runs,
        "failures": 0 if runtime is None else runtime.failures,
        "rate_per_minute": 0.0 if runtime is None else round(runtime.rate_per_minute, 3),
        "batch_size": full_batch(mean, batchable=kind.batchable),
        "pause": pause,
    }

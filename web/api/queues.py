"""Queues, for operators: how they do, pause, resume, drain."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask_smorest import Blueprint

from jobs import controls
from jobs.backlog import backlogs
from jobs.controls import Pause, Scope
from jobs.kinds import QUEUES
from jobs.runtimes import queue_rates, runtimes
from web.auth import operator
from web.context import principal, tenancy
from web.health import engine_state
from web.schemas.pauses import PauseCreateSchema, PauseSchema
from web.schemas.queues import QueueListSchema

blueprint = Blueprint("queues", __name__, url_prefix="/admin/queues", description="Queues over all tenants")

_UNCOUNTED: dict[str, Any] = {
    "due": 0, "waiting": 0, "in_flight": 0, "oldest_due_seconds": 0.0, "measured_at": None,
}  # fmt: skip


@blueprint.route("", methods=["GET"])
@operator
@blueprint.response(200, QueueListSchema)
def list_queues() -> dict[str, Any]:
    """List the queues: what waits, since when, how fast it goes, and who works."""
    platform = tenancy().platform
    state, rates = engine_state(tenancy()), queue_rates(runtimes(platform))
    counted = {backlog.queue: asdict(backlog) for backlog in backlogs(platform)}
    paused = {pause.name: pause for pause in controls.pauses(platform) if pause.scope == Scope.QUEUE}
    return {
        "items": [
            {
                **counted.get(queue, _UNCOUNTED),
                "name": queue,
                "rate_per_minute": round(rates[queue], 3),
                "workers": state.workers[queue],
                "slots": state.slots[queue],
                "deaf": queue in state.deaf,
                "pause": paused.get(queue),
            }
            for queue in QUEUES
        ]
    }


@blueprint.route("/<name>/pause", methods=["POST"])
@operator
@blueprint.arguments(PauseCreateSchema, required=False)
@blueprint.response(200, PauseSchema)
def pause_queue(body: dict[str, Any], name: str) -> Pause:
    """Stop dispatching a queue's jobs. Those that are dispatched or running go on; pausing again changes nothing."""
    return controls.pause(tenancy().platform, Scope.QUEUE, name, by=principal().subject, reason=body["reason"])


@blueprint.route("/<name>/drain", methods=["POST"])
@operator
@blueprint.arguments(PauseCreateSchema, required=False)
@blueprint.response(200, PauseSchema)
def drain_queue(body: dict[str, Any], name: str) -> Pause:
    """Pause a queue in order to see it empty: read `/admin/pauses` until it is `drained`."""
    return controls.pause(
        tenancy().platform, Scope.QUEUE, name, by=principal().subject, reason=body["reason"], drain=True
    )


@blueprint.route("/<name>/resume", methods=["POST"])
@operator
@blueprint.response(204)
def resume_queue(name: str) -> None:
    """Dispatch a queue's jobs again."""
    controls.resume(tenancy().platform, Scope.QUEUE, name)

"""What is held back, over queues, kinds and tenants."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask_smorest import Blueprint

from jobs import controls
from web.auth import operator
from web.context import tenancy
from web.schemas.pauses import PauseListSchema

blueprint = Blueprint("pauses", __name__, url_prefix="/admin/pauses", description="What operators hold back")


@blueprint.route("", methods=["GET"])
@operator
@blueprint.response(200, PauseListSchema)
def list_pauses() -> dict[str, Any]:
    """List what is paused, with what of it is still in flight."""
    return {"items": [asdict(pause) for pause in controls.pauses(tenancy().platform)]}

"""What goes on just now, for operators who look on."""

from __future__ import annotations

from flask_smorest import Blueprint

from jobs.activity import Activity, activity
from web.auth import operator
from web.context import tenancy
from web.schemas.activity import ActivitySchema

blueprint = Blueprint("activity", __name__, url_prefix="/admin/activity", description="What goes on just now")


@blueprint.route("", methods=["GET"])
@operator
@blueprint.response(200, ActivitySchema)
def get_activity() -> Activity:
    """Tell whose jobs run, which providers are asked, and what fails."""
    return activity(tenancy().platform)

"""Why somebody holds a permission in the selected tenant, or what is missing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask_smorest import Blueprint

from domain.errors import PermissionDenied
from domain.identity.explanations import explain
from domain.identity.permissions import ALL, parse
from tenancy.identity.explanations import facts_of
from tenancy.identity.own_permissions import listed
from web.auth import authenticated
from web.context import principal, tenancy, tenant_id
from web.schemas.authz import ExplainQuerySchema, ExplanationSchema

blueprint = Blueprint("authz", __name__, url_prefix="/authz", description="Why somebody may do something")


@blueprint.route("/explain", methods=["GET"])
@authenticated
@blueprint.arguments(ExplainQuerySchema, location="query")
@blueprint.response(200, ExplanationSchema)
def explain_permission(query: dict[str, Any]) -> dict[str, Any]:
    """Explain whether a user, or an API key of the user's, holds a permission in the selected tenant.

    Everyone may ask about themselves. To ask about others takes `role:read`.
    """
    who, tenant = principal(), tenant_id()
    user_id = query["user_id"] or who.user_id
    if user_id is None or (user_id != who.user_id and not who.may("role:read")):
        raise PermissionDenied("The permission role:read is missing, which asking about others takes.")
    own = [] if query["permission"] in ALL else [row["name"] for row in listed(tenancy().platform, tenant)]
    permission = parse(query["permission"], own)
    facts, roles = facts_of(tenancy().platform, tenant, user_id, permission, query["api_key_id"])
    found = explain(facts, permission)
    return {
        "permission": permission,
        "user_id": user_id,
        "api_key_id": query["api_key_id"],
        "held": found.held,
        "paths": [{"steps": [asdict(step) for step in path]} for path in found.paths],
        "missing": [asdict(lack) for lack in found.missing],
        "roles": roles if who.may("role:read") else [],
    }

"""API keys of the selected tenant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask_smorest import Blueprint

from domain.errors import FieldError, InvalidPayload, PermissionDenied
from domain.identity.permissions import parse_all
from tenancy.database import Row
from tenancy.identity import api_keys
from web.auth import can
from web.context import principal, tenancy, tenant_id
from web.idempotency import idempotent, new_resource_id
from web.pagination import Envelope, read_page
from web.schemas.api_keys import ApiKeyCreatedSchema, ApiKeyCreateSchema, ApiKeySchema
from web.schemas.base import PageQuerySchema, page_schema

blueprint = Blueprint("api_keys", __name__, url_prefix="/api-keys", description="Credentials for programs")


@blueprint.route("", methods=["POST"])
@can("api_key:create")
@idempotent
@blueprint.arguments(ApiKeyCreateSchema)
@blueprint.response(201, ApiKeyCreatedSchema)
def create_api_key(new: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Make an API key for this tenant. The answer is the only place that shows it.

    A scope may be written `resource:action` or `action:resource`; the caller must hold each of them.
    """
    who = principal()
    if who.user_id is None:
        raise PermissionDenied("A key acts for a user.")
    row, text = api_keys.create(
        tenancy().platform,
        key_id=new_resource_id(),
        tenant_id=tenant_id(),
        user_id=who.user_id,
        name=new["name"],
        scopes=_scopes(new["scopes"]),
        expires_at=_future(new["expires_at"]),
    )
    return {**row, "key": text}, 201, {"Cache-Control": "no-store"}


@blueprint.route("", methods=["GET"])
@can("api_key:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(ApiKeySchema))
def list_api_keys(query: dict[str, Any]) -> tuple[Envelope[Row], dict[str, str]]:
    """List the tenant's keys that are not revoked."""
    page = read_page(query)
    return page.answer(
        api_keys.page(
            tenancy().platform, tenant_id(), after=page.after, limit=page.fetch_limit, newest_first=page.newest_first
        )
    )


@blueprint.route("/<uuid:key_id>", methods=["DELETE"])
@can("api_key:delete")
@blueprint.response(204)
def revoke_api_key(key_id: UUID) -> None:
    """Revoke a key. It stops working at its next request."""
    api_keys.revoke(tenancy().platform, tenant_id(), key_id)


def _scopes(texts: list[str]) -> frozenset[str]:
    """The scopes in the catalog's spelling. Raises `InvalidPayload`, and `PermissionDenied` for what the caller lacks."""
    held = principal().permissions
    scopes = parse_all(texts, held, "/scopes")
    lacking = sorted(scopes - held)
    if lacking:
        raise PermissionDenied(f"A key cannot hold what its maker lacks: {', '.join(lacking)}.")
    return scopes


def _future(moment: datetime | None) -> datetime | None:
    if moment is not None and moment <= datetime.now(UTC):
        fault = FieldError("/expires_at", "in_the_past", "Must lie in the future.")
        raise InvalidPayload("The key would have expired already.", errors=(fault,))
    return moment

"""The tenant's own provider accounts. Their secrets are sealed, and only the last four characters are ever shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, make_response
from flask_smorest import Blueprint
from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.errors import FieldError, InvalidPayload
from domain.ids import new_id
from domain.notifications.links import link_key, write_token
from domain.notifications.provider_types import TYPES, faults
from models.tenant import NotificationProvider
from models.tenant.standing import settings_of
from web.api.notification_preferences import locked_settings
from web.auth import can
from web.context import tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.schemas.notification_providers import NotificationProviderListPutSchema, NotificationProviderListSchema

blueprint = Blueprint("notification_providers", __name__, description="Provider accounts for messages")

_EXAMPLE = {
    "items": [
        {
            "name": "main", "type": "smtp", "priority": 10,
            "config": {"host": "smtp.example.com", "user": "acme", "from": "Acme <no-reply@example.com>"},
            "secrets": {"password": "correct horse battery"},
        }
    ]
}  # fmt: skip


@blueprint.route("/notifications/providers", methods=["GET"])
@can("notification_provider:read")
@blueprint.response(200, NotificationProviderListSchema)
def get_notification_providers() -> Response:
    """Read the tenant's provider accounts, in the order in which they are asked. At most 50."""
    with tenancy().session(tenant_id()) as session:
        rows = _rows(session)
        version = settings_of(session, tenant_id()).providers_version
    return _shown(rows, version)


@blueprint.route("/notifications/providers", methods=["PUT"])
@can("notification_provider:update")
@blueprint.arguments(NotificationProviderListPutSchema, example=_EXAMPLE)
@blueprint.response(200, NotificationProviderListSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_notification_providers(wanted: dict[str, Any]) -> Response:
    """Replace the tenant's provider accounts. A secret that is left out stays as it is, if the account keeps its type."""
    with tenancy().session(tenant_id()) as session:
        settings = locked_settings(session)
        check_if_match(settings.providers_version)
        present = {row.name: row for row in _rows(session)}
        secrets = [_secrets(each, present.get(each["name"])) for each in wanted["items"]]
        _check(wanted["items"], secrets)
        for name in present.keys() - {each["name"] for each in wanted["items"]}:
            session.delete(present[name])
        for each, own in zip(wanted["items"], secrets, strict=True):
            _write(session, each, own, present.get(each["name"]))
        settings.providers_version += 1
        session.flush()
        rows = _rows(session)
    return _shown(rows, settings.providers_version)


def _rows(session: Session) -> Sequence[NotificationProvider]:
    statement = select(NotificationProvider).where(NotificationProvider.tenant_id == tenant_id())
    order = (NotificationProvider.channel, NotificationProvider.priority, NotificationProvider.name)
    return session.scalars(statement.order_by(*order)).all()


def _secrets(wanted: Mapping[str, Any], row: NotificationProvider | None) -> dict[str, str]:
    """Those that will be in force."""
    kept: dict[str, str] = {}
    if row is not None and row.type == wanted["type"]:
        vault = tenancy().vault(tenant_id())
        kept = json.loads(vault.open(row.secret_sealed, "notification_providers", "secret_sealed", row.id))
    return {**kept, **wanted["secrets"]}


def _check(items: Sequence[Mapping[str, Any]], secrets: Sequence[Mapping[str, str]]) -> None:
    found: list[FieldError] = []
    for place, (each, own) in enumerate(zip(items, secrets, strict=True)):
        at = f"/items/{place}"
        if TYPES[each["type"]].development_only and tenancy().settings.environment != "development":
            found.append(FieldError(f"{at}/type", "invalid", "Is for development only."))
        found += faults(each["type"], each["config"], own, at)
    if found:
        raise InvalidPayload("The accounts cannot be used as they are described.", errors=tuple(found))


def _write(
    session: Session, wanted: Mapping[str, Any], secrets: Mapping[str, str], row: NotificationProvider | None
) -> None:
    if row is None:
        row = NotificationProvider(tenant_id=tenant_id(), id=new_id(), name=wanted["name"])
        session.add(row)
    sealed = tenancy().vault(tenant_id()).seal(
        json.dumps(dict(secrets)).encode(), "notification_providers", "secret_sealed", row.id
    )  # fmt: skip
    row.type, row.channel = wanted["type"], TYPES[wanted["type"]].channel
    row.priority, row.enabled, row.config = wanted["priority"], wanted["enabled"], wanted["config"]
    row.secret_sealed, row.last_four = sealed, {name: _last_four(text) for name, text in secrets.items()}


def _last_four(secret: str) -> str:
    """Nothing of a secret so short that four characters would be most of it."""
    return secret.strip()[-4:] if len(secret) >= 12 else ""


def _shown(rows: Sequence[NotificationProvider], version: int) -> Response:
    key = link_key(tenancy().ring.origin, "callback")
    base = f"{tenancy().settings.base_url}/api/v1/notifications/callbacks"
    items = [
        {
            **{column.key: getattr(row, column.key) for column in NotificationProvider.__table__.columns},
            "callback_url": f"{base}/{write_token(key, tenant_id(), row.id)}",
        }
        for row in rows
    ]
    return with_etag(make_response(NotificationProviderListSchema().dump({"items": items})), version)

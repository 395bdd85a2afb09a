"""What recipients and the tenant have chosen, and addresses that are not written to."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.errors import FieldError, InvalidPayload, NotFound
from domain.notifications.channels import normal_address
from models.tenant import NotificationSettings, Recipient, Suppression
from models.tenant.standing import settings_of
from web.auth import can
from web.context import tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.idempotency import idempotent, new_resource_id
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import page_schema
from web.schemas.notification_preferences import (
    NotificationSettingsSchema,
    PreferencesSchema,
    SuppressionCreateSchema,
    SuppressionFilterSchema,
    SuppressionSchema,
    choices,
)

blueprint = Blueprint("notification_preferences", __name__, description="Who wants to hear what, and when")


@blueprint.route("/notifications/settings", methods=["GET"])
@can("notification_provider:read")
@blueprint.response(200, NotificationSettingsSchema)
def get_notification_settings() -> Response:
    """Read the tenant's defaults."""
    with tenancy().session(tenant_id()) as session:
        found = settings_of(session, tenant_id())
    return _settings_shown(found)


@blueprint.route("/notifications/settings", methods=["PUT"])
@can("notification_provider:update")
@blueprint.arguments(NotificationSettingsSchema)
@blueprint.response(200, NotificationSettingsSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_notification_settings(wanted: dict[str, Any]) -> Response:
    """Replace the tenant's defaults. They hold for every message that is decided from now on."""
    with tenancy().session(tenant_id()) as session:
        row = locked_settings(session)
        check_if_match(row.version)
        row.preferences, row.quiet_hours = choices(wanted), wanted["quiet_hours"]
        row.timezone, row.locale = wanted["timezone"], wanted["locale"]
        row.platform_providers, row.version = wanted["platform_providers"], row.version + 1
    return _settings_shown(row)


@blueprint.route("/notifications/preferences/<string:recipient>", methods=["GET"])
@can("notification:read")
@blueprint.response(200, PreferencesSchema)
def get_preferences(recipient: str) -> Response:
    """Read what a recipient has chosen."""
    with tenancy().session(tenant_id()) as session:
        person = recipient_named(session, recipient)
    return _preferences_shown(person)


@blueprint.route("/notifications/preferences/<string:recipient>", methods=["PUT"])
@can("notification:update")
@blueprint.arguments(PreferencesSchema)
@blueprint.response(200, PreferencesSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_preferences(wanted: dict[str, Any], recipient: str) -> Response:
    """Replace what a recipient has chosen. It holds for every message that is decided from now on."""
    with tenancy().session(tenant_id()) as session:
        person = recipient_named(session, recipient, to_change=True)
        check_if_match(person.preferences_version)
        person.preferences, person.quiet_hours = choices(wanted), wanted["quiet_hours"]
        person.timezone, person.locale = wanted["timezone"], wanted["locale"]
        person.preferences_version += 1
    return _preferences_shown(person)


@blueprint.route("/notifications/suppressions", methods=["GET"])
@can("notification:read")
@blueprint.arguments(SuppressionFilterSchema, location="query")
@blueprint.response(200, page_schema(SuppressionSchema))
def list_suppressions(arguments: dict[str, Any]) -> tuple[Envelope[Suppression], dict[str, str]]:
    """List addresses that are not written to."""
    return list_rows(Suppression, arguments)


@blueprint.route("/notifications/suppressions", methods=["POST"])
@can("notification:update")
@idempotent
@blueprint.arguments(SuppressionCreateSchema)
@blueprint.response(201, SuppressionSchema)
def create_suppression(wanted: dict[str, Any]) -> Response:
    """Write to an address no more. One that is there already is answered with."""
    try:
        address = normal_address(wanted["channel"], wanted["address"])
    except ValueError as error:
        fault = FieldError("/address", "invalid", str(error))
        raise InvalidPayload("The address is invalid.", errors=(fault,)) from None
    row = {**wanted, "address": address, "tenant_id": tenant_id()}
    with tenancy().session(tenant_id()) as session:
        session.execute(insert(Suppression).values({**row, "id": new_resource_id()}).on_conflict_do_nothing())
        found = session.scalars(select(Suppression).filter_by(**row)).one()
    return make_response(SuppressionSchema().dump(found), 201)


@blueprint.route("/notifications/suppressions/<uuid:suppression_id>", methods=["DELETE"])
@can("notification:update")
@blueprint.response(204, description="The address is written to again.")
def delete_suppression(suppression_id: UUID) -> None:
    """Lift a suppression."""
    where = (Suppression.tenant_id == tenant_id(), Suppression.id == suppression_id)
    with tenancy().session(tenant_id()) as session:
        if session.scalar(delete(Suppression).where(*where).returning(Suppression.id)) is None:
            raise NotFound(f"There is no suppression {suppression_id}.")


def recipient_named(session: Session, name: str, *, to_change: bool = False) -> Recipient:
    """The tenant's recipient of that name. Raises `NotFound`."""
    statement = select(Recipient).where(Recipient.tenant_id == tenant_id(), Recipient.external_id == name)
    found = None if "\0" in name else session.scalars(statement.with_for_update() if to_change else statement).first()
    if found is None:
        raise NotFound(f"There is no recipient {name[:200]!r}.")
    return found


def locked_settings(session: Session) -> NotificationSettings:
    """The tenant's row, made if it is not there, and locked."""
    row = {"tenant_id": tenant_id(), "id": tenant_id()}
    session.execute(insert(NotificationSettings).values(row).on_conflict_do_nothing())
    return session.get_one(NotificationSettings, (tenant_id(), tenant_id()), with_for_update=True)


def _settings_shown(row: NotificationSettings) -> Response:
    whole = {
        "channels": row.preferences.get("channels", {}), "categories": row.preferences.get("categories", {}),
        "quiet_hours": row.quiet_hours, "timezone": row.timezone, "locale": row.locale,
        "platform_providers": row.platform_providers,
    }  # fmt: skip
    return with_etag(make_response(NotificationSettingsSchema().dump(whole)), row.version)


def _preferences_shown(person: Recipient) -> Response:
    whole = {
        "channels": person.preferences.get("channels", {}), "categories": person.preferences.get("categories", {}),
        "quiet_hours": person.quiet_hours, "timezone": person.timezone, "locale": person.locale,
    }  # fmt: skip
    return with_etag(make_response(PreferencesSchema().dump(whole)), person.preferences_version)

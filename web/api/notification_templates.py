"""Templates: kept in versions, previewed by a job, because a template is a program that somebody wrote."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.errors import Conflict, FieldError, InvalidPayload, NotFound
from domain.ids import new_id
from domain.notifications.templates import PARTS, Variant, missing, variables, variant_for
from jobs.submit import submit
from models.tenant import Template, TemplateVersion
from web.auth import can
from web.context import tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.idempotency import idempotent, new_resource_id
from web.jobs_response import accepted, new_job
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.jobs import JobSchema
from web.schemas.notification_templates import (
    TemplateCreateSchema,
    TemplateDetailSchema,
    TemplatePreviewSchema,
    TemplatePutSchema,
    TemplateSchema,
    TemplateVersionListSchema,
    VersionQuerySchema,
)

blueprint = Blueprint("notification_templates", __name__, description="What messages say")

KNOWN = frozenset({"recipient", "unsubscribe_url"})
"""Variables that the platform fills in."""

_EXAMPLE = {
    "key": "welcome",
    "variants": [{"channel": "email", "locale": "en", "subject": "Hello {{ name }}", "text": "Welcome, {{ name }}."}],
}


@blueprint.route("/notifications/templates", methods=["POST"])
@can("notification_template:create")
@idempotent
@blueprint.arguments(TemplateCreateSchema, example=_EXAMPLE)
@blueprint.response(201, TemplateDetailSchema)
def create_template(wanted: dict[str, Any]) -> Response:
    """Create a template, whose first version this is. 409 if the key is taken."""
    template_id = new_resource_id()
    row = {
        "tenant_id": tenant_id(), "id": template_id, "key": wanted["key"], "category": wanted["category"],
        "default_locale": wanted["default_locale"],
    }  # fmt: skip
    with tenancy().session(tenant_id()) as session:
        session.execute(insert(Template).values(row).on_conflict_do_nothing())
        template = session.get(Template, (tenant_id(), template_id))
        if template is None:
            raise Conflict(f"There is a template {wanted['key']!r} already.")
        version = _write(session, template, wanted)
    return _shown(template, version, 201)


@blueprint.route("/notifications/templates", methods=["GET"])
@can("notification_template:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(TemplateSchema))
def list_templates(arguments: dict[str, Any]) -> tuple[Envelope[Template], dict[str, str]]:
    """List the tenant's templates."""
    return list_rows(Template, arguments)


@blueprint.route("/notifications/templates/<uuid:template_id>", methods=["GET"])
@can("notification_template:read")
@blueprint.arguments(VersionQuerySchema, location="query")
@blueprint.response(200, TemplateDetailSchema)
def get_template(query: dict[str, Any], template_id: UUID) -> Response:
    """Read a template in its present version, or in another."""
    with tenancy().session(tenant_id()) as session:
        template = _template(session, template_id)
        version = _version(session, template, query["number"])
    return _shown(template, version)


@blueprint.route("/notifications/templates/<uuid:template_id>", methods=["PUT"])
@can("notification_template:update")
@blueprint.arguments(TemplatePutSchema)
@blueprint.response(200, TemplateDetailSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_template(wanted: dict[str, Any], template_id: UUID) -> Response:
    """Make a new version. Messages that name no version use it from now on; older versions stay."""
    with tenancy().session(tenant_id()) as session:
        template = _template(session, template_id, to_change=True)
        check_if_match(template.version)
        template.version += 1
        template.category, template.default_locale = wanted["category"], wanted["default_locale"]
        template.updated_at = func.now()
        version = _write(session, template, wanted)
        session.flush()
        session.refresh(template)
    return _shown(template, version)


@blueprint.route("/notifications/templates/<uuid:template_id>", methods=["DELETE"])
@can("notification_template:delete")
@blueprint.response(204, description="The template is gone. Messages that were rendered stay.")
def delete_template(template_id: UUID) -> None:
    """Delete a template with its versions."""
    with tenancy().session(tenant_id()) as session:
        session.delete(_template(session, template_id, to_change=True))


@blueprint.route("/notifications/templates/<uuid:template_id>/versions", methods=["GET"])
@can("notification_template:read")
@blueprint.response(200, TemplateVersionListSchema)
def list_template_versions(template_id: UUID) -> dict[str, Any]:
    """List a template's newest 200 versions."""
    with tenancy().session(tenant_id()) as session:
        template = _template(session, template_id)
        where = (TemplateVersion.tenant_id == tenant_id(), TemplateVersion.template_id == template.id)
        found = session.scalars(
            select(TemplateVersion).where(*where).order_by(TemplateVersion.number.desc()).limit(200)
        ).all()
    return {"items": found}


@blueprint.route("/notifications/templates/<uuid:template_id>/preview", methods=["POST"])
@can("notification_template:read")
@blueprint.arguments(TemplatePreviewSchema, example={"channel": "email", "locale": "en", "data": {"name": "Ada"}})
@blueprint.response(
    202, JobSchema, description="The job that renders it; its result holds `subject`, `text` and `html`."
)
@blueprint.alt_response(200, schema=JobSchema, description="The finished job, for a client that waited.")
def preview_template(asked: dict[str, Any], template_id: UUID) -> Response:
    """Render a template with data, sending nothing. Add `?wait=10` to get the result at once.

    422 if the data lacks a variable, or if nothing is said for that channel and locale.
    """
    with tenancy().session(tenant_id()) as session:
        template = _template(session, template_id)
        version = _version(session, template, asked["number"])
    data = {"recipient": {}, "unsubscribe_url": "https://example.com/unsubscribe", **asked["data"]}
    faults = [
        FieldError(f"/data/{name}", "required", "The template reads this variable.")
        for name in missing(version.variables, data)
    ]
    variant = variant_for(
        [Variant(**each) for each in version.variants], asked["channel"], asked["locale"], template.default_locale
    )
    if variant is None:
        faults = [FieldError("/locale", "invalid", f"Nothing is said for {asked['channel']} in {asked['locale']}.")]
    if variant is None or faults:
        raise InvalidPayload("The template cannot be rendered with this.", errors=tuple(faults))
    parts = {name: getattr(variant, name) for name in PARTS}
    return accepted(submit(tenancy(), new_job("notification.preview", {**parts, "data": data})))


def _template(session: Session, template_id: UUID, *, to_change: bool = False) -> Template:
    found = session.get(Template, (tenant_id(), template_id), with_for_update=to_change)
    if found is None:
        raise NotFound(f"There is no template {template_id}.")
    return found


def _version(session: Session, template: Template, number: int | None) -> TemplateVersion:
    wanted = template.version if number is None else number
    where = (
        TemplateVersion.tenant_id == tenant_id(), TemplateVersion.template_id == template.id, TemplateVersion.number == wanted
    )  # fmt: skip
    found = session.scalars(select(TemplateVersion).where(*where)).first()
    if found is None:
        raise NotFound(f"The template has no version {wanted}.")
    return found


def _write(session: Session, template: Template, wanted: dict[str, Any]) -> TemplateVersion:
    """The version that the request describes; the same one if the request is repeated after a crash."""
    names = {name for each in wanted["variants"] for name in variables([each[part] or "" for part in PARTS])}
    row = {
        "tenant_id": tenant_id(), "id": new_id(), "template_id": template.id, "number": template.version,
        "variants": wanted["variants"], "variables": sorted(names - KNOWN),
    }  # fmt: skip
    session.execute(insert(TemplateVersion).values(row).on_conflict_do_nothing())
    return _version(session, template, None)


def _shown(template: Template, version: TemplateVersion, status: int = 200) -> Response:
    columns = {column.key: getattr(template, column.key) for column in Template.__table__.columns}
    whole = {**columns, "number": version.number, "variants": version.variants, "variables": version.variables}
    response = make_response(TemplateDetailSchema().dump(whole), status)
    response.headers["Location"] = f"/api/v1/notifications/templates/{template.id}"
    return with_etag(
        response, template.version, *(() if version.number == template.version else (str(version.number),))
    )

"""Tenants: made by whoever is signed in, seen and changed by their members."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint
from sqlalchemy.orm import Session

from domain.audit.entries import changed
from domain.destinations import parse_destination, parse_networks
from domain.errors import NotFound
from domain.tenants.servers import parse_server
from jobs.hints import hints
from jobs.provisioning import ensure_provisioning, provisioning_job
from jobs.submit import INSERT, Submitted, insert_parameters, submit
from models.platform import Tenant
from tenancy.audit import record
from tenancy.database import Row
from tenancy.directory import BucketAddress
from tenancy.identity import memberships
from tenancy.provisioning import NewTenant, OwnPlace, create_tenant
from tenancy.scopes import tenant_scope, user_scope
from web import tracing
from web.auth import READABLE, authenticated, can, require_verified_email, signed_in_user
from web.context import principal, tenancy
from web.etags import check_if_match, with_etag
from web.idempotency import idempotent, new_resource_id
from web.jobs_response import accepted, new_job
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.jobs import JobSchema
from web.schemas.tenants import TenantCreateSchema, TenantJobSchema, TenantSchema, TenantUpdateSchema

blueprint = Blueprint("tenants", __name__, url_prefix="/tenants", description="Workspaces and where their data lives")


@blueprint.route("", methods=["POST"])
@authenticated
@idempotent
@blueprint.arguments(TenantCreateSchema)
@blueprint.response(202, TenantJobSchema, description="The job that provisions the tenant.")
@blueprint.alt_response(200, schema=TenantJobSchema, description="The job finished while it was waited for.")
@blueprint.doc(parameters=["Wait", "Prefer"])
def create(new: dict[str, Any]) -> Response:
    """Create a tenant that the caller owns.

    Answers with the job that provisions it. Until that has succeeded, the tenant can be read, and the job with the
    tenant selected; anything else answers `tenant_unavailable`.
    """
    owner_id, _ = signed_in_user()
    require_verified_email()
    tenant_id = new_resource_id()
    own = None if new["database"] is None else _own_place(new, tenant_id)
    tier = new["tier"] or tenancy().settings.default_tier
    with tenancy().platform.session(user_scope(owner_id, tenant_id)) as session:
        if session.get(Tenant, tenant_id) is None:
            made = create_tenant(
                session, tenancy().ring, name=new["name"], tier=tier, owner_id=owner_id, tenant_id=tenant_id, own=own
            )
            submitted = _submit_provisioning(session, made, owner_id)
        else:  # a repeated request whose first answer got lost
            submitted = ensure_provisioning(tenancy(), tenant_id, owner_id)
    hints(tenancy().settings).due()
    return accepted(submitted, tenant_id=tenant_id)


@blueprint.route("", methods=["GET"])
@authenticated
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(TenantSchema))
def list_tenants(query: dict[str, Any]) -> tuple[Envelope[Row], dict[str, str]]:
    """List the caller's tenants. Operators see all of them, an API key its own."""
    page = read_page(query)
    who, platform = principal(), tenancy().platform
    bounds: dict[str, Any] = {"after": page.after, "limit": page.fetch_limit, "newest_first": page.newest_first}
    if who.is_operator:
        return page.answer(memberships.all_tenants(platform, **bounds))
    if who.session_id is None or who.user_id is None:
        own = [] if who.tenant_id is None else [memberships.tenant(platform, who.tenant_id)]
        return page.answer(own)
    return page.answer(memberships.tenants_of(platform, who.user_id, **bounds))


@blueprint.route("/<uuid:tenant_id>", methods=["GET"])
@can("tenant:read", states=READABLE)
@blueprint.response(200, TenantSchema)
def get(tenant_id: UUID) -> Response:
    """Read a tenant of the caller's, in any state."""
    return _shown(memberships.tenant(tenancy().platform, tenant_id))


@blueprint.route("/<uuid:tenant_id>", methods=["PUT"])
@can("tenant:update")
@blueprint.arguments(TenantUpdateSchema)
@blueprint.response(200, TenantSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def update(change: dict[str, Any], tenant_id: UUID) -> Response:
    """Rename a tenant. `If-Match` must carry the `ETag` that was read."""
    with tenancy().platform.session(tenant_scope(tenant_id)) as session:
        tenant = session.get(Tenant, tenant_id, with_for_update=True)
        if tenant is None:
            raise NotFound(f"There is no tenant {tenant_id}.")
        check_if_match(tenant.version)
        before, after = changed({"name": tenant.name}, {"name": change["name"]})
        record(session, "tenant.updated", f"tenant:{tenant_id}", before=before, after=after)
        tenant.name = change["name"]
        tenant.version += 1
    tenancy().directory.forget(tenant_id)
    return _shown(memberships.tenant(tenancy().platform, tenant_id))


@blueprint.route("/<uuid:tenant_id>/rotate-keys", methods=["POST"])
@can("tenant:update")
@blueprint.response(202, JobSchema, description="The job that seals everything anew.")
@blueprint.alt_response(200, schema=JobSchema, description="The job finished while it was waited for.")
def rotate_keys(tenant_id: UUID) -> Response:
    """Give the tenant a new data key and seal everything anew under it, while everybody goes on working.

    The older key is destroyed by a job of its own a day later, when nothing can stand under it any more; the result says when.
    One rotation at a time: a second one is answered with `unique_key_taken`.
    """
    return accepted(submit(tenancy(), new_job("tenant.rotate_keys", {}, unique_key="rotate-keys")))


def _own_place(new: dict[str, Any], tenant_id: UUID) -> OwnPlace:
    """What an external tenant brings, as far as its text can be judged. Raises `InvalidPayload`."""
    allowed = parse_networks(tenancy().settings.tenant_private_networks)
    server = parse_server(new["database"]["url"], allowed)
    if new["bucket"] is None:
        return OwnPlace(server.dsn)
    if new["bucket"]["endpoint"] is not None:
        parse_destination(new["bucket"]["endpoint"], allowed, "/bucket/endpoint")
    return OwnPlace(server.dsn, BucketAddress(**new["bucket"], prefix=f"nexus/{tenant_id.hex}"))


def _submit_provisioning(session: Session, made: NewTenant, owner_id: UUID) -> Submitted:
    """Insert the job in the transaction of the tenant: neither is ever there without the other."""
    job = replace(
        provisioning_job(made.id, owner_id), request_id=tracing.request_id(), traceparent=tracing.traceparent()
    )
    parameters = insert_parameters(tenancy(), job, made.vault)
    row = session.connection().exec_driver_sql(INSERT, parameters).mappings().one()
    return Submitted(dict(row), created=True)


def _shown(tenant: Row) -> Response:
    return with_etag(make_response(TenantSchema().dump(tenant)), tenant["version"])

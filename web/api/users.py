"""Users of the selected tenant."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint

from domain.identity.emails import normalise_email
from domain.identity.links import Purpose
from domain.identity.passwords import check_password, hash_password
from jobs.account_mail import link_job
from jobs.hints import hints
from jobs.submit import insert
from models.platform import User
from tenancy.database import Row, tenant_scope
from tenancy.identity import members, memberships, users
from web.auth import can, require_verified_email
from web.context import principal, tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.idempotency import idempotent, new_resource_id
from web.job_submissions import of_this_request
from web.offload import offload
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.users import MemberCreateSchema, MemberSchema, MemberUpdateSchema

blueprint = Blueprint("users", __name__, url_prefix="/users", description="Members of the tenant")


@blueprint.route("", methods=["GET"])
@can("user:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(MemberSchema))
def list_users(query: dict[str, Any]) -> tuple[Envelope[Row], dict[str, str]]:
    """List the tenant's users, in the order of their accounts."""
    page = read_page(query)
    return page.answer(
        memberships.members(
            tenancy().platform, tenant_id(), after=page.after, limit=page.fetch_limit, newest_first=page.newest_first
        )
    )


@blueprint.route("", methods=["POST"])
@can("user:create")
@idempotent
@blueprint.arguments(MemberCreateSchema)
@blueprint.response(201, MemberSchema)
def create_user(new: dict[str, Any]) -> Response:
    """Make an account that is a member from the start. Who has an account already is invited instead (`email_taken`).

    Without a password, a mail asks the person to choose one; with one, a mail asks to verify the address. The caller must
    hold all that the roles permit.
    """
    require_verified_email()
    email, password = normalise_email(new["email"]), new["password"]
    if password is not None:
        check_password(password, email)
    password_hash = offload(hash_password, password or secrets.token_urlsafe(32))
    mail = link_job(tenant_id(), Purpose.RESET_PASSWORD if password is None else Purpose.VERIFY_EMAIL, email)
    user_id = new_resource_id()
    with _transaction() as transaction:
        if transaction.get(User, user_id) is None:  # otherwise a repeated request, whose first answer got lost
            roles = members.roles_named(transaction, tenant_id(), new["roles"])
            members.check_gives(principal().permissions, roles)
            users.insert(transaction, email=email, name=new["name"], password_hash=password_hash, user_id=user_id)
            members.add(transaction, tenant_id(), user_id, (role.id for role in roles))
            insert(transaction, tenancy(), of_this_request(mail))
    hints(tenancy().settings).due()
    return _shown(memberships.member(tenancy().platform, tenant_id(), user_id), 201)


@blueprint.route("/<uuid:user_id>", methods=["GET"])
@can("user:read")
@blueprint.response(200, MemberSchema)
def get_user(user_id: UUID) -> Response:
    """Read one of the tenant's users."""
    return _shown(memberships.member(tenancy().platform, tenant_id(), user_id))


@blueprint.route("/<uuid:user_id>", methods=["PUT"])
@can("user:update")
@blueprint.arguments(MemberUpdateSchema)
@blueprint.response(200, MemberSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def update_user(change: dict[str, Any], user_id: UUID) -> Response:
    """Replace a member's roles. `If-Match` must carry the `ETag` that was read.

    The caller must hold all that the roles permit, those before and those after. The last owner stays one (`last_owner`).
    """
    with _transaction() as transaction:
        members.lock(transaction, tenant_id(), user_id)
        check_if_match(_version(memberships.member_in(transaction, tenant_id(), user_id)))
        roles = members.roles_named(transaction, tenant_id(), change["roles"])
        members.set_roles(transaction, tenant_id(), user_id, roles, principal().permissions)
        changed = memberships.member_in(transaction, tenant_id(), user_id)
    return _shown(changed)


@blueprint.route("/<uuid:user_id>", methods=["DELETE"])
@can("user:delete")
@blueprint.response(204, description="No member any more, from the next request on.")
def remove_user(user_id: UUID) -> None:
    """End a membership. The account stays; its API keys in this tenant and the invitations that it sent end.

    The caller must hold all that the member may do. The last owner stays (`last_owner`).
    """
    with _transaction() as transaction:
        members.remove(transaction, tenant_id(), user_id, principal().permissions)


def _transaction() -> Any:
    return tenancy().platform.session(tenant_scope(tenant_id()))


def _version(member: Row) -> str:
    return members.version(member["roles"], disabled=member["disabled"])


def _shown(member: Row, status: int = 200) -> Response:
    response = make_response(MemberSchema().dump(member), status)
    response.headers["Location"] = f"/api/v1/users/{member['id']}"
    return with_etag(response, _version(member))

"""Invitations into the selected tenant."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint

from domain.identity.emails import normalise_email
from jobs.account_mail import invitation_job
from jobs.hints import hints
from jobs.submit import insert
from models.platform import Invitation
from tenancy.database import Row, tenant_scope
from tenancy.identity import invitations, members
from web.auth import can, require_verified_email
from web.context import principal, tenancy, tenant_id
from web.idempotency import idempotent, new_resource_id
from web.job_submissions import of_this_request
from web.pagination import Envelope, read_page
from web.schemas.base import page_schema
from web.schemas.users import InvitationCreateSchema, InvitationQuerySchema, InvitationSchema

blueprint = Blueprint("invitations", __name__, url_prefix="/users", description="Invitations to become a member")


@blueprint.route("/invite", methods=["POST"])
@can("invitation:create")
@idempotent
@blueprint.arguments(InvitationCreateSchema)
@blueprint.response(201, InvitationSchema)
def invite(new: dict[str, Any]) -> Response:
    """Invite someone by mail; with or without an account. The link works once, for seven days.

    The caller must hold all that the roles permit. A member is not invited (`already_member`), nor an address twice at a
    time (`already_invited`).
    """
    require_verified_email()
    email, invitation_id = normalise_email(new["email"]), new_resource_id()
    with tenancy().platform.session(tenant_scope(tenant_id())) as transaction:
        if transaction.get(Invitation, (tenant_id(), invitation_id)) is None:  # else a repeated request
            roles = members.roles_named(transaction, tenant_id(), new["roles"])
            members.check_gives(principal().permissions, roles)
            invitations.invite(
                transaction, tenant_id=tenant_id(), invitation_id=invitation_id, email=email,
                role_ids=[role.id for role in roles], invited_by=principal().user_id,
            )  # fmt: skip
            insert(transaction, tenancy(), of_this_request(invitation_job(tenant_id(), invitation_id)))
    hints(tenancy().settings).due()
    made = invitations.get(tenancy().platform, tenant_id(), invitation_id)
    response = make_response(InvitationSchema().dump(made), 201)
    response.headers["Location"] = f"/api/v1/users/invitations/{invitation_id}"
    return response


@blueprint.route("/invitations", methods=["GET"])
@can("invitation:read")
@blueprint.arguments(InvitationQuerySchema, location="query")
@blueprint.response(200, page_schema(InvitationSchema))
def list_invitations(query: dict[str, Any]) -> tuple[Envelope[Row], dict[str, str]]:
    """List the tenant's invitations; `state=pending` are those that wait for an answer."""
    page = read_page(query)
    return page.answer(
        invitations.page(
            tenancy().platform, tenant_id(), state=query["state"], after=page.after, limit=page.fetch_limit,
            newest_first=page.newest_first,
        )
    )  # fmt: skip


@blueprint.route("/invitations/<uuid:invitation_id>", methods=["GET"])
@can("invitation:read")
@blueprint.response(200, InvitationSchema)
def get_invitation(invitation_id: UUID) -> Row:
    """Read an invitation."""
    return invitations.get(tenancy().platform, tenant_id(), invitation_id)


@blueprint.route("/invitations/<uuid:invitation_id>", methods=["DELETE"])
@can("invitation:delete")
@blueprint.response(204, description="The link does not work any more.")
def revoke_invitation(invitation_id: UUID) -> None:
    """Revoke an invitation that was not accepted."""
    invitations.revoke(tenancy().platform, tenant_id(), invitation_id)

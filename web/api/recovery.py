"""What is done with links that were mailed: verifying an address, choosing a new password, accepting an invitation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from flask_smorest import Blueprint

from domain.errors import EmailTaken, FieldError, InvalidPayload
from domain.identity.emails import normalise_email
from domain.identity.links import Purpose
from domain.identity.passwords import check_password, hash_password
from domain.ids import new_id
from jobs.account_mail import asked_link_key, link_job, operator_tenant
from jobs.submit import submit
from tenancy.identity import invitations, links, users
from tenancy.identity.invitations import Needs
from web.auth import public
from web.context import tenancy
from web.job_submissions import of_this_request
from web.offload import offload
from web.schemas.recovery import AcceptedSchema, AcceptSchema, AddressSchema, LinkSchema, ResetSchema

blueprint = Blueprint("recovery", __name__, url_prefix="/auth", description="Verifying addresses, recovering accounts")


@blueprint.route("/verify-email", methods=["POST"])
@public
@blueprint.arguments(LinkSchema)
@blueprint.response(204, description="The address is verified.")
def verify_email(body: dict[str, Any]) -> None:
    """Verify an account's address with the link that was mailed to it. It works once, for three days."""
    platform = tenancy().platform
    links.verify_email(platform, links.present(tenancy().ring, Purpose.VERIFY_EMAIL, body["token"]))


@blueprint.route("/resend-verification", methods=["POST"])
@public
@blueprint.arguments(AddressSchema)
@blueprint.response(204, description="If an account waits for it, a mail is on its way.")
def resend_verification(body: dict[str, Any]) -> None:
    """Ask for another mail that verifies an address: one within five minutes at most. Tells nothing about accounts."""
    _ask_for_mail(Purpose.VERIFY_EMAIL, body["email"])


@blueprint.route("/forgot-password", methods=["POST"])
@public
@blueprint.arguments(AddressSchema)
@blueprint.response(204, description="If there is such an account, a mail is on its way.")
def forgot_password(body: dict[str, Any]) -> None:
    """Ask for a mail to choose a new password: one within five minutes at most. Tells nothing about accounts."""
    _ask_for_mail(Purpose.RESET_PASSWORD, body["email"])


@blueprint.route("/reset-password", methods=["POST"])
@public
@blueprint.arguments(ResetSchema)
@blueprint.response(204, description="The password is set, and every session has ended.")
def reset_password(body: dict[str, Any]) -> None:
    """Choose a new password with the link that was mailed. It works once, for an hour.

    All sessions of the account end. A second factor stays, unless the address had never been verified.
    """
    platform = tenancy().platform
    link = links.present(tenancy().ring, Purpose.RESET_PASSWORD, body["token"])
    check_password(body["password"], links.email_of(platform, link))
    links.reset_password(platform, link, offload(hash_password, body["password"]))


@blueprint.route("/accept-invitation", methods=["POST"])
@public
@blueprint.arguments(AcceptSchema)
@blueprint.response(200, AcceptedSchema)
def accept_invitation(body: dict[str, Any]) -> dict[str, Any]:
    """Become a member of the tenant that sent the invitation. The link works once, for seven days.

    Who has no account yet, or one whose address was never verified, sends the password that it is to have. Then sign in.
    """
    platform = tenancy().platform
    link = invitations.present(tenancy().ring, body["token"])
    email, needs = invitations.look(platform, link)
    password = body["password"]
    if needs is Needs.PASSWORD and password is None:
        fault = FieldError("/password", "required", "The account needs a password.")
        raise InvalidPayload(f"Choose a password for {email}.", errors=(fault,))
    if needs is Needs.NOTHING and password is not None:
        raise EmailTaken(f"{email} has an account already; accept without a password.")
    password_hash = None
    if password is not None:
        check_password(password, email)
        password_hash = offload(hash_password, password)
    user_id = invitations.accept(platform, link, new_id(), name=body["name"], password_hash=password_hash)
    return {"user": users.get(platform, user_id), "tenant_id": link.tenant_id}


def _ask_for_mail(purpose: Purpose, text: str) -> None:
    """The same work for every address: the job that is submitted looks whether there is an account."""
    email = normalise_email(text)
    job = link_job(operator_tenant(tenancy()), purpose, email)
    submit(tenancy(), of_this_request(replace(job, idempotency_key=asked_link_key(purpose, email, datetime.now(UTC)))))

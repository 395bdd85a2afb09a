"""The API's `users`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class Users:
    """The operations whose path begins with `users`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def invite(self, body: models.InvitationCreate, /, *, idempotency_key: str | None = None) -> models.Invitation:
        """Invite someone by mail; with or without an account. The link works once, for seven days.

        The caller must hold all that the roles permit. A member is not invited (`already_member`), nor an address twice at a
        time (`already_invited`).

        Needs the permission `invitation:create`.
        """
        answer: models.Invitation = self._transport.send("POST", "/api/v1/users/invite", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_invitations(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, state: Literal["pending", "accepted", "revoked", "expired"] | None = None) -> models.InvitationPage:
        """List the tenant's invitations; `state=pending` are those that wait for an answer.

        Needs the permission `invitation:read`.
        """
        answer: models.InvitationPage = self._transport.send("GET", "/api/v1/users/invitations", query={"limit": limit, "cursor": cursor, "sort": sort, "state": state})
        return answer

    def iterate_invitations(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, state: Literal["pending", "accepted", "revoked", "expired"] | None = None) -> Iterator[models.Invitation]:
        """Every item of `list_invitations`, page after page."""
        return items(lambda cursor: self.list_invitations(limit=limit, sort=sort, state=state, cursor=cursor))

    def get_invitation(self, invitation_id: str, /) -> models.Invitation:
        """Read an invitation.

        Needs the permission `invitation:read`.
        """
        answer: models.Invitation = self._transport.send("GET", f"/api/v1/users/invitations/{segment(invitation_id)}")
        return answer

    def revoke_invitation(self, invitation_id: str, /) -> None:
        """Revoke an invitation that was not accepted.

        Needs the permission `invitation:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/users/invitations/{segment(invitation_id)}")

    def list_users(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.MemberPage:
        """List the tenant's users, in the order of their accounts.

        Needs the permission `user:read`.
        """
        answer: models.MemberPage = self._transport.send("GET", "/api/v1/users", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_users(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Member]:
        """Every item of `list_users`, page after page."""
        return items(lambda cursor: self.list_users(limit=limit, sort=sort, cursor=cursor))

    def create_user(self, body: models.MemberCreate, /, *, idempotency_key: str | None = None) -> models.Member:
        """Make an account that is a member from the start. Who has an account already is invited instead (`email_taken`).

        Without a password, a mail asks the person to choose one; with one, a mail asks to verify the address. The caller must
        hold all that the roles permit.

        Needs the permission `user:create`.
        """
        answer: models.Member = self._transport.send("POST", "/api/v1/users", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def get_user(self, user_id: str, /) -> models.Member:
        """Read one of the tenant's users.

        Needs the permission `user:read`.
        """
        answer: models.Member = self._transport.send("GET", f"/api/v1/users/{segment(user_id)}")
        return answer

    def update_user(self, user_id: str, body: models.MemberUpdate, /, *, if_match: Mapping[str, Any] | str) -> models.Member:
        """Replace a member's roles. `If-Match` must carry the `ETag` that was read.

        The caller must hold all that the roles permit, those before and those after. The last owner stays one (`last_owner`).

        Needs the permission `user:update`.
        """
        answer: models.Member = self._transport.send("PUT", f"/api/v1/users/{segment(user_id)}", body=body, if_match=if_match)
        return answer

    def remove_user(self, user_id: str, /) -> None:
        """End a membership. The account stays; its API keys in this tenant and the invitations that it sent end.

        The caller must hold all that the member may do. The last owner stays (`last_owner`).

        Needs the permission `user:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/users/{segment(user_id)}")

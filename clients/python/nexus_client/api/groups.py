"""The API's `groups`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class Groups:
    """The operations whose path begins with `groups`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def list_group_members(self, group_id: str, /, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.GroupMemberPage:
        """List a group's own members, in the order of their accounts.

        Needs the permission `group:read`.
        """
        answer: models.GroupMemberPage = self._transport.send("GET", f"/api/v1/groups/{segment(group_id)}/members", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_group_members(self, group_id: str, /, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.GroupMember]:
        """Every item of `list_group_members`, page after page."""
        return items(lambda cursor: self.list_group_members(group_id, limit=limit, sort=sort, cursor=cursor))

    def add_group_member(self, group_id: str, user_id: str, /) -> None:
        """Put a user of the tenant into a group. The caller must hold what the group gives; once is the same as twice.

        Needs the permission `group:update`.
        """
        self._transport.send("PUT", f"/api/v1/groups/{segment(group_id)}/members/{segment(user_id)}")

    def remove_group_member(self, group_id: str, user_id: str, /) -> None:
        """Take a user out of a group. The caller must hold what the group gives.

        Needs the permission `group:update`.
        """
        self._transport.send("DELETE", f"/api/v1/groups/{segment(group_id)}/members/{segment(user_id)}")

    def list_group_roles(self, group_id: str, /, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.GroupRolePage:
        """List the roles that a group itself gives.

        Needs the permission `group:read`.
        """
        answer: models.GroupRolePage = self._transport.send("GET", f"/api/v1/groups/{segment(group_id)}/roles", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_group_roles(self, group_id: str, /, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.GroupRole]:
        """Every item of `list_group_roles`, page after page."""
        return items(lambda cursor: self.list_group_roles(group_id, limit=limit, sort=sort, cursor=cursor))

    def add_group_role(self, group_id: str, role_id: str, /) -> None:
        """Let a group give a role to its members and to the groups below it. The caller must hold what the role permits.

        Needs the permission `group:update`.
        """
        self._transport.send("PUT", f"/api/v1/groups/{segment(group_id)}/roles/{segment(role_id)}")

    def remove_group_role(self, group_id: str, role_id: str, /) -> None:
        """Let a group give a role no more. The caller must hold what the role permits.

        Needs the permission `group:update`.
        """
        self._transport.send("DELETE", f"/api/v1/groups/{segment(group_id)}/roles/{segment(role_id)}")

    def create_group(self, body: models.GroupPut, /, *, idempotency_key: str | None = None) -> models.Group:
        """Create a group, without members and roles yet.

        Needs the permission `group:create`.
        """
        answer: models.Group = self._transport.send("POST", "/api/v1/groups", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_groups(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.GroupPage:
        """List the tenant's groups.

        Needs the permission `group:read`.
        """
        answer: models.GroupPage = self._transport.send("GET", "/api/v1/groups", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_groups(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Group]:
        """Every item of `list_groups`, page after page."""
        return items(lambda cursor: self.list_groups(limit=limit, sort=sort, cursor=cursor))

    def get_group(self, group_id: str, /) -> models.Group:
        """Read a group.

        Needs the permission `group:read`.
        """
        answer: models.Group = self._transport.send("GET", f"/api/v1/groups/{segment(group_id)}")
        return answer

    def put_group(self, group_id: str, body: models.GroupPut, /, *, if_match: Mapping[str, Any] | str) -> models.Group:
        """Replace a group's definition. `If-Match` must carry the `ETag` that was read.

        Below another group its members hold that group's roles too; the caller must hold what they gain or lose by it. A group
        cannot stand below itself.

        Needs the permission `group:update`.
        """
        answer: models.Group = self._transport.send("PUT", f"/api/v1/groups/{segment(group_id)}", body=body, if_match=if_match)
        return answer

    def delete_group(self, group_id: str, /) -> None:
        """Delete a group that no other one stands below. The caller must hold what its members lose.

        Needs the permission `group:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/groups/{segment(group_id)}")

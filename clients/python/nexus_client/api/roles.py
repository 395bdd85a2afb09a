"""The API's `roles`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class Roles:
    """The operations whose path begins with `roles`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def list_role_permissions(self, role_id: str, /) -> models.RolePermissions:
        """List what a role permits.

        Needs the permission `role:read`.
        """
        answer: models.RolePermissions = self._transport.send("GET", f"/api/v1/roles/{segment(role_id)}/permissions")
        return answer

    def put_role_permissions(self, role_id: str, body: models.RolePermissions, /, *, if_match: Mapping[str, Any] | str) -> models.RolePermissions:
        """Replace what a role permits. `If-Match` must carry the role's `ETag`.

        Needs the permission `role:update`.
        """
        answer: models.RolePermissions = self._transport.send("PUT", f"/api/v1/roles/{segment(role_id)}/permissions", body=body, if_match=if_match)
        return answer

    def add_role_permission(self, role_id: str, permission: str, /) -> models.RolePermissions:
        """Let a role permit one thing more. The caller must hold it; once is the same as twice.

        Needs the permission `role:update`.
        """
        answer: models.RolePermissions = self._transport.send("PUT", f"/api/v1/roles/{segment(role_id)}/permissions/{segment(permission)}")
        return answer

    def remove_role_permission(self, role_id: str, permission: str, /) -> None:
        """Let a role permit one thing less. The caller must hold it.

        Needs the permission `role:update`.
        """
        self._transport.send("DELETE", f"/api/v1/roles/{segment(role_id)}/permissions/{segment(permission)}")

    def create_role(self, body: models.RolePut, /, *, idempotency_key: str | None = None) -> models.Role:
        """Create a role. The caller must hold each of its permissions.

        Needs the permission `role:create`.
        """
        answer: models.Role = self._transport.send("POST", "/api/v1/roles", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_roles(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.RolePage:
        """List the tenant's roles.

        Needs the permission `role:read`.
        """
        answer: models.RolePage = self._transport.send("GET", "/api/v1/roles", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_roles(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Role]:
        """Every item of `list_roles`, page after page."""
        return items(lambda cursor: self.list_roles(limit=limit, sort=sort, cursor=cursor))

    def get_role(self, role_id: str, /) -> models.Role:
        """Read a role.

        Needs the permission `role:read`.
        """
        answer: models.Role = self._transport.send("GET", f"/api/v1/roles/{segment(role_id)}")
        return answer

    def put_role(self, role_id: str, body: models.RolePut, /, *, if_match: Mapping[str, Any] | str) -> models.Role:
        """Replace a role's definition. `If-Match` must carry the `ETag` that was read.

        The caller must hold each permission that is added or taken away. It holds for everyone at their next request.

        Needs the permission `role:update`.
        """
        answer: models.Role = self._transport.send("PUT", f"/api/v1/roles/{segment(role_id)}", body=body, if_match=if_match)
        return answer

    def delete_role(self, role_id: str, /) -> None:
        """Delete a role that no member and no group holds.

        Needs the permission `role:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/roles/{segment(role_id)}")

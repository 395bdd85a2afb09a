"""The API's `permissions`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from nexus_client.api import models
from nexus_client.transport import Transport, segment


class Permissions:
    """The operations whose path begins with `permissions`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def list_permissions(self) -> models.PermissionList:
        """List every permission, and whether the caller holds it: the platform's, and the tenant's own.

        Needs the permission `role:read`.
        """
        answer: models.PermissionList = self._transport.send("GET", "/api/v1/permissions")
        return answer

    def create_permission(self, body: models.PermissionCreate, /, *, idempotency_key: str | None = None) -> models.Permission:
        """Make a permission for the tenant's own programs, which ask `/authz/explain` or `/auth/me` for it.

        The system roles owner and admin hold it from now on, and give it to others by roles.

        Needs the permission `permission:create`.
        """
        answer: models.Permission = self._transport.send("POST", "/api/v1/permissions", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def delete_permission(self, name: str, /) -> None:
        """Delete a permission of the tenant's own that no role holds but the system's.

        Needs the permission `permission:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/permissions/{segment(name)}")

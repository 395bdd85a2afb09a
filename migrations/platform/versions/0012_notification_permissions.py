"""Permissions of notifications for the system roles of tenants that are there already."""

from __future__ import annotations

from migrations.roles import permit_system_roles

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_EDITING = (
    "notification:cancel",
    "notification:update",
    "notification_template:create",
    "notification_template:delete",
    "notification_template:read",
    "notification_template:update",
    "notification_provider:read",
)
_ALL = (*_EDITING, "notification_provider:update")
_READING = ("notification_template:read", "notification_provider:read")


def upgrade() -> None:
    permit_system_roles({"owner": _ALL, "admin": _ALL, "editor": _EDITING, "viewer": _READING})

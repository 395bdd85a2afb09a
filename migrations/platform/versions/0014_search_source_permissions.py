"""Permissions of search sources for the system roles of tenants that are there already."""

from __future__ import annotations

from migrations.roles import permit_system_roles

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_READING = ("search_source:read",)
_ALL = ("search_source:create", "search_source:read", "search_source:update", "search_source:delete")


def upgrade() -> None:
    permit_system_roles({"owner": _ALL, "admin": _ALL, "editor": _READING, "viewer": _READING})

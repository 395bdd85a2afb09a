"""What a group of the selected tenant has: members, and roles that it gives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from flask_smorest import Blueprint
from sqlalchemy.orm import Session

from models.platform import Group
from tenancy.database import Row
from tenancy.identity import group_contents, groups, roles
from tenancy.identity.authorization import changing
from web.auth import can
from web.context import principal, tenancy, tenant_id
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.groups import GroupMemberSchema, GroupRoleSchema

blueprint = Blueprint(
    "group_contents", __name__, url_prefix="/groups/<uuid:group_id>", description="Members and roles of groups"
)


@blueprint.route("/members", methods=["GET"])
@can("group:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(GroupMemberSchema))
def list_group_members(query: dict[str, Any], group_id: UUID) -> tuple[Envelope[Row], dict[str, str]]:
    """List a group's own members, in the order of their accounts."""
    page, platform = read_page(query), tenancy().platform
    groups.get(platform, tenant_id(), group_id)
    bounds: dict[str, Any] = {"after": page.after, "limit": page.fetch_limit, "newest_first": page.newest_first}
    return page.answer(group_contents.members(platform, tenant_id(), group_id, **bounds))


@blueprint.route("/members/<uuid:user_id>", methods=["PUT"])
@can("group:update")
@blueprint.response(204)
def add_group_member(user_id: UUID, group_id: UUID) -> None:
    """Put a user of the tenant into a group. The caller must hold what the group gives; once is the same as twice."""
    with _changing(group_id) as (session, group):
        group_contents.add_member(session, group, user_id, principal().permissions)


@blueprint.route("/members/<uuid:user_id>", methods=["DELETE"])
@can("group:update")
@blueprint.response(204)
def remove_group_member(user_id: UUID, group_id: UUID) -> None:
    """Take a user out of a group. The caller must hold what the group gives."""
    with _changing(group_id) as (session, group):
        group_contents.remove_member(session, group, user_id, principal().permissions)


@blueprint.route("/roles", methods=["GET"])
@can("group:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(GroupRoleSchema))
def list_group_roles(query: dict[str, Any], group_id: UUID) -> tuple[Envelope[Row], dict[str, str]]:
    """List the roles that a group itself gives."""
    page, platform = read_page(query), tenancy().platform
    groups.get(platform, tenant_id(), group_id)
    bounds: dict[str, Any] = {"after": page.after, "limit": page.fetch_limit, "newest_first": page.newest_first}
    return page.answer(group_contents.roles(platform, tenant_id(), group_id, **bounds))


@blueprint.route("/roles/<uuid:role_id>", methods=["PUT"])
@can("group:update")
@blueprint.response(204)
def add_group_role(role_id: UUID, group_id: UUID) -> None:
    """Let a group give a role to its members and to the groups below it. The caller must hold what the role permits."""
    with _changing(group_id) as (session, group):
        role = roles.find(session, tenant_id(), role_id)
        group_contents.add_role(session, group, role, principal().permissions)


@blueprint.route("/roles/<uuid:role_id>", methods=["DELETE"])
@can("group:update")
@blueprint.response(204)
def remove_group_role(role_id: UUID, group_id: UUID) -> None:
    """Let a group give a role no more. The caller must hold what the role permits."""
    with _changing(group_id) as (session, group):
        role = roles.find(session, tenant_id(), role_id)
        group_contents.remove_role(session, group, role, principal().permissions)


@contextmanager
def _changing(group_id: UUID) -> Iterator[tuple[Session, Group]]:
    with changing(tenancy().platform, tenant_id()) as session:
        yield session, groups.find(session, tenant_id(), group_id)

"""Groups of members. A group's roles are those of its members, and of the members of every group below it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, PlatformBase


class Group(Owned, Created, PlatformBase):
    """A named set of members. It stands below `parent_id`, whose roles it passes on; no chain of parents is a circle."""

    __tablename__ = "groups"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(
            ["tenant_id", "parent_id"], ["groups.tenant_id", "groups.id"], deferrable=True, initially="DEFERRED"
        ),
        UniqueConstraint("tenant_id", "name"),
        CheckConstraint("parent_id <> id", name="not_its_own_parent"),
        Index("ix_groups_parent_id", "tenant_id", "parent_id"),
    )

    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    parent_id: Mapped[UUID | None]
    version: Mapped[int] = mapped_column(server_default="1")


class GroupMember(PlatformBase, Created):
    """A member of the tenant in a group."""

    __tablename__ = "group_members"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "group_id"], ["groups.tenant_id", "groups.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(
            ["tenant_id", "user_id"], ["memberships.tenant_id", "memberships.user_id"], ondelete="CASCADE"
        ),
        Index("ix_group_members_user_id", "tenant_id", "user_id"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    group_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)


class GroupRole(PlatformBase):
    """A role that a group gives. A role that is given cannot be deleted."""

    __tablename__ = "group_roles"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "group_id"], ["groups.tenant_id", "groups.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["tenant_id", "role_id"], ["roles.tenant_id", "roles.id"], ondelete="CASCADE"),
        Index("ix_group_roles_role_id", "tenant_id", "role_id"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    group_id: Mapped[UUID] = mapped_column(primary_key=True)
    role_id: Mapped[UUID] = mapped_column(primary_key=True)


class Permission(PlatformBase, Created):
    """A permission that a tenant made for itself, beside the catalog's: the platform asks for none of these."""

    __tablename__ = "permissions"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE"),)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(server_default="")

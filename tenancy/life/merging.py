"""Bringing back who may do what in a tenant, beside what is there: a restore takes nobody's access away.

Roles and groups are known by their names, because every tenant has its own rows of the system roles. Members come back if their account is
still there: accounts are people's own, and belong to no tenant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from tenancy.life.archive import ArchiveReader
from tenancy.life.manifest import TableEntry
from tenancy.life.rows import Extra, describe, load

Connection = psycopg.Connection[Any]

_ROLES: LiteralString = "SELECT name, id::text FROM roles WHERE tenant_id = %s"
_GROUPS: LiteralString = "SELECT name, id::text FROM groups WHERE tenant_id = %s"
_PEOPLE: LiteralString = "SELECT id::text FROM users WHERE id = ANY(%s::uuid[])"


def merge(connection: Connection, reader: ArchiveReader, entries: Mapping[str, TableEntry], tenant_id: UUID) -> None:
    """Add the archive's roles, permissions, groups, members and their roles to the tenant's."""
    own = {"tenant_id": str(tenant_id)}

    def rows(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if name in entries:
            for line, _ in reader.lines(entries[name]):
                yield line, json.loads(line)

    def add(name: str, found: Iterator[tuple[str, Extra]]) -> None:
        if name in entries:
            load(connection, describe(connection, name).with_columns(entries[name].columns), found, merge=True)

    names = {told["id"]: told["name"] for _, told in rows("roles")}
    there = dict(connection.execute(_ROLES, (tenant_id,)).fetchall())
    add("roles", ((line, own) for line, told in rows("roles") if told["name"] not in there))
    ids = {old: there.get(name, old) for old, name in names.items()}
    add(
        "role_permissions",
        ((line, own) for line, told in rows("role_permissions") if names.get(told["role_id"]) not in there),
    )
    people = [told["user_id"] for _, told in rows("memberships")]
    known = {str(row[0]) for row in connection.execute(_PEOPLE, (people,))}
    add("memberships", ((line, own) for line, told in rows("memberships") if told["user_id"] in known))
    add(
        "membership_roles",
        (
            (line, {**own, "role_id": ids[told["role_id"]]})
            for line, told in rows("membership_roles")
            if told["user_id"] in known and told["role_id"] in ids
        ),
    )
    add("permissions", ((line, own) for line, _ in rows("permissions")))
    grouped = dict(connection.execute(_GROUPS, (tenant_id,)).fetchall())
    groups = {told["id"]: grouped.get(told["name"], told["id"]) for _, told in rows("groups")}
    add(
        "groups",
        (
            (line, {**own, "parent_id": groups.get(told["parent_id"])})
            for line, told in rows("groups")
            if told["name"] not in grouped
        ),
    )
    add(
        "group_members",
        (
            (line, {**own, "group_id": groups[told["group_id"]]})
            for line, told in rows("group_members")
            if told["user_id"] in known
        ),
    )
    add(
        "group_roles",
        (
            (line, {**own, "group_id": groups[told["group_id"]], "role_id": ids[told["role_id"]]})
            for line, told in rows("group_roles")
            if told["role_id"] in ids
        ),
    )

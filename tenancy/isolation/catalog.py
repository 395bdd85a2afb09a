"""Reading a database's catalog as any account may, for `domain.isolation.catalog` to judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

from domain.isolation.catalog import ENGINE, Account, Catalog, Grant, Policy, Table
from tenancy.database import Database

PUBLIC = "everybody (PUBLIC)"

_TABLES: LiteralString = """
SELECT c.relname AS name, c.relispartition AS part, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) AS has_tenant,
       pg_get_userbyid(c.relowner) = ANY(%(accounts)s::text[]) AS owned_by_application
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY c.relname
"""

_POLICIES: LiteralString = """
SELECT tablename AS "table", policyname AS name, roles::text[] AS roles, qual AS using, with_check AS check
  FROM pg_policies p JOIN pg_tables t USING (schemaname, tablename)
 WHERE schemaname = 'public' AND permissive = 'PERMISSIVE' AND roles <> ARRAY[t.tableowner] ORDER BY 1, 2
"""
"""Without those that only let the owner itself in, which the application never is."""

_GRANTS: LiteralString = """
SELECT DISTINCT c.relname AS "table", x.privilege_type AS privilege, c.relispartition AS part
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) x
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') AND x.grantee <> c.relowner
 ORDER BY 1, 2
"""

_ACCOUNTS: LiteralString = """
SELECT r.rolname AS name,
       array_remove(ARRAY[CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,
                          CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
                          CASE WHEN rolreplication THEN 'REPLICATION' END], NULL) AS attributes,
       ARRAY(SELECT pg_get_userbyid(m.roleid)::text FROM pg_auth_members m WHERE m.member = r.oid) AS memberships
  FROM pg_roles r WHERE r.rolname = ANY(%(accounts)s::text[]) ORDER BY 1
"""

_VIEWS: LiteralString = """
SELECT c.relname AS name, c.relkind = 'm' AS materialized
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND (c.relkind = 'm' OR c.relkind = 'v' AND NOT coalesce(
           (SELECT option_value::boolean FROM pg_options_to_table(c.reloptions) WHERE option_name = 'security_invoker'), false))
 ORDER BY 1
"""

_FUNCTIONS: LiteralString = """
SELECT p.proname AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname = 'public' AND p.prosecdef
   AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
                WHERE x.grantee <> p.proowner AND (x.grantee = 0 OR pg_get_userbyid(x.grantee) <> %(engine)s))
 ORDER BY 1
"""
"""Functions that run under their owner's rights and that somebody but the engine may call."""

_UNIQUES: LiteralString = """
SELECT format('table %%s: unique %%s without the tenant', c.relname, i.relname) AS gap
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND x.indisunique AND c.relname <> 'alembic_version'
   AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnum = ANY(x.indkey))
 ORDER BY 1
"""

_FOREIGN_KEYS: LiteralString = """
SELECT format('table %%s: foreign key %%s without the tenant', c.relname, k.conname) AS gap
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND k.contype = 'f'
   AND NOT EXISTS (SELECT FROM unnest(k.conkey, k.confkey) AS pair (own, other)
                     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = pair.own AND a.attname = 'tenant_id'
                     JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = pair.other AND b.attname = 'tenant_id')
 ORDER BY 1
"""

_CONNECT: LiteralString = """
SELECT CASE WHEN x.grantee = 0 THEN '' ELSE pg_get_userbyid(x.grantee)::text END AS name
  FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x
 WHERE d.datname = current_database() AND x.privilege_type = 'CONNECT' AND x.grantee <> d.datdba ORDER BY 1
"""

_CREATES: LiteralString = """
SELECT CASE WHEN x.grantee = 0 THEN '' ELSE pg_get_userbyid(x.grantee)::text END AS name
  FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) x
 WHERE n.nspname = 'public' AND x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner ORDER BY 1
"""

_STATEMENTS: tuple[LiteralString, ...] = (
    _TABLES, _POLICIES, _GRANTS, _ACCOUNTS, _VIEWS, _FUNCTIONS, _UNIQUES, _FOREIGN_KEYS, _CONNECT, _CREATES,
)  # fmt: skip


def read_catalog(
    database: Database, accounts: Mapping[str, str], groups: frozenset[str], connecting: frozenset[str]
) -> Catalog:
    """The catalog of `database`. `accounts` are its application's roles with what to call them, `groups` the roles that
    they may be members of, and `connecting` the roles that may connect to it.
    """
    parameters = {"accounts": list(accounts), "engine": ENGINE}
    tables, policies, grants, roles, views, functions, uniques, keys, connect, creates = database.fetch_many(
        [(statement, parameters) for statement in _STATEMENTS]
    )

    def shown(name: str) -> str:
        return PUBLIC if name == "" else accounts.get(name, "another role")

    def account(row: Mapping[str, Any]) -> Account:
        foreign = frozenset(row["memberships"]) - groups
        return Account(shown(row["name"]), frozenset(row["attributes"]), frozenset(shown(each) for each in foreign))

    return Catalog(
        tables=tuple(Table(**row) for row in tables),
        policies=tuple(Policy(**{**row, "roles": frozenset(row["roles"])}) for row in policies),
        grants=tuple(Grant(**row) for row in grants),
        accounts=tuple(account(row) for row in roles),
        views=tuple(row["name"] for row in views if not row["materialized"]),
        materialized=tuple(row["name"] for row in views if row["materialized"]),
        functions=tuple(row["name"] for row in functions),
        uniques=tuple(row["gap"] for row in uniques),
        foreign_keys=tuple(row["gap"] for row in keys),
        connect=tuple(f"{shown(row['name'])} may connect" for row in connect if row["name"] not in connecting),
        creates=tuple(f"{shown(row['name'])} may create" for row in creates),
    )

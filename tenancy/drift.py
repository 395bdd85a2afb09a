"""What a tenant's database consists of, read from its catalogs, beside the template that it should equal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from config.settings import Settings
from domain.fleet.drift import Difference, Inventory, Part, differences
from domain.fleet.stages import Failure
from tenancy.access import Tenancy
from tenancy.fleet import Place, owners_database
from tenancy.servers import clone_template, drop_database, with_database

_PARTS: LiteralString = """
WITH t AS (
    SELECT c.oid, c.relname, c.relkind::text, c.relrowsecurity, c.relforcerowsecurity, c.relowner, c.relacl
      FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
)
SELECT 'table' AS part, relname AS name,
       relkind || CASE WHEN relrowsecurity THEN ' protected' ELSE '' END || CASE WHEN relforcerowsecurity THEN ' forced' ELSE '' END
       || CASE WHEN relkind IN ('v', 'm') THEN ' ' || pg_get_viewdef(oid) ELSE '' END AS definition
  FROM t
UNION ALL
SELECT 'column', relname || '.' || a.attname,
       format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
       || CASE a.attgenerated WHEN 's' THEN ' GENERATED ' WHEN 'v' THEN ' VIRTUAL ' ELSE ' ' END
       || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
  FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
UNION ALL
SELECT 'constraint', relname || '.' || k.conname, pg_get_constraintdef(k.oid) FROM t JOIN pg_constraint k ON k.conrelid = t.oid
UNION ALL
SELECT 'index', relname || '.' || i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
  FROM t JOIN pg_index i ON i.indrelid = t.oid
UNION ALL
SELECT 'policy', relname || '.' || p.polname,
       p.polcmd::text || CASE WHEN p.polpermissive THEN '' ELSE ' restrictive' END
       || ' TO ' || (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE r::regrole::text END, ',' ORDER BY r) FROM unnest(p.polroles) r)
       || ' USING ' || coalesce(pg_get_expr(p.polqual, p.polrelid), '')
       || ' CHECK ' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')
  FROM t JOIN pg_policy p ON p.polrelid = t.oid
UNION ALL
SELECT 'trigger', relname || '.' || g.tgname, pg_get_triggerdef(g.oid)
  FROM t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal
UNION ALL
SELECT 'grant', relname || '.' || who, string_agg(what, ',' ORDER BY what)
  FROM (SELECT relname, CASE WHEN x.grantee = 0 THEN 'PUBLIC' WHEN x.grantee::regrole::text = %(role)s THEN 'the tenant'
                             ELSE x.grantee::regrole::text END AS who,
               x.privilege_type || CASE WHEN x.is_grantable THEN ' grantable' ELSE '' END AS what
          FROM t CROSS JOIN LATERAL aclexplode(t.relacl) x WHERE x.grantee <> t.relowner) AS granted
 GROUP BY relname, who
UNION ALL
SELECT 'function', p.oid::regprocedure::text, md5(pg_get_functiondef(p.oid))
  FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prokind IN ('f', 'p')
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = p.oid AND e.deptype = 'e')
UNION ALL
SELECT 'schema', nspname, '' FROM pg_namespace
 WHERE nspname <> 'public' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
"""

_RIGHTS = "DELETE,INSERT,SELECT,UPDATE"
"""What a tenant's account may do with each table but Alembic's (`tenancy.servers.grant_tables`)."""


@contextmanager
def template(settings: Settings, job_id: UUID) -> Iterator[Inventory]:
    """What a database of the newest revision should consist of, read from a copy of the template that the block is for.

    Nobody can connect to the template itself. A copy that an earlier attempt left behind is removed first.
    """
    name = f"nexus_drift_{job_id.hex}"
    with psycopg.connect(settings.owner_dsn, autocommit=True, connect_timeout=5) as server:
        drop_database(server, name)
        try:
            clone_template(server, name)
            with psycopg.connect(with_database(settings, name), connect_timeout=5) as connection:
                parts = _read(connection, role="")
        finally:
            drop_database(server, name)
    tables = {name for part, name in parts if part == "table" and name != "alembic_version"}
    yield {**parts, **{("grant", f"{table}.the tenant"): _RIGHTS for table in tables}}


def differences_of(tenancy: Tenancy, place: Place, expected: Inventory) -> list[Difference] | Failure:
    """How the database differs from what is expected; a `Failure` if it could not be read."""
    dsn = tenancy.record(place.tenant_id).dsn or ""
    role = str(psycopg.conninfo.conninfo_to_dict(dsn).get("user", ""))
    database = owners_database(tenancy, place)
    try:
        with database.connect() as connection:
            return differences(expected, _read(connection, role))
    except psycopg.OperationalError:
        return Failure("unreachable", "The database cannot be connected to, or went away.", away=True)
    finally:
        database.dispose()


def _read(connection: psycopg.Connection[Any], role: str) -> dict[Part, str]:
    rows = connection.execute(_PARTS, {"role": role}).fetchall()
    return {(part, name): definition for part, name, definition in rows}

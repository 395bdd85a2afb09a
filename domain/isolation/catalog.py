"""The rules that the catalog of a database must satisfy for tenants to be apart in it. Each names the gaps that it finds.

PostgreSQL applies policies to tables only, and not to everybody: owners, superusers, `BYPASSRLS`, views, `SECURITY DEFINER`,
materialized views and `TRUNCATE` pass them by. Source: PostgreSQL's manual, chapter 5.9, and the traps in docs/isolation.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

TENANT = "nexus.tenant_id"
"""The setting that a tenant's policy must read."""

ENGINE = "nexus_engine"
"""The group that serves all tenants: its policies bind no tenant. What a job touches is bound by the tenant's own account."""

OF_USERS = frozenset({"sessions"})
"""Tables that name a tenant and belong to a user, who is found by a secret's hash."""

OF_OPERATORS = frozenset({"erasure_certificates", "fleet_failures"})
"""Tables that name a tenant and are read by operators only."""

OF_TENANTS = frozenset({"tenants"})
"""Tables that are a tenant's although their column is not called `tenant_id`."""

HARMLESS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `part` if it is a partition, which is reached through its parent only."""

    name: str
    part: bool
    has_tenant: bool
    enabled: bool
    forced: bool
    owned_by_application: bool

    @property
    def is_of_tenants(self) -> bool:
        """Whether its rows belong to tenants."""
        return (self.has_tenant and self.name not in OF_USERS) or self.name in OF_TENANTS


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy of a table; `roles` it is for (`public` is everybody), and its two conditions, None where there is none."""

    table: str
    name: str
    roles: frozenset[str]
    using: str | None
    check: str | None

    @property
    def binds(self) -> bool:
        """Whether each condition that it has reads one of our settings."""
        conditions = [condition for condition in (self.using, self.check) if condition is not None]
        return bool(conditions) and all("nexus." in condition for condition in conditions)


@dataclass(frozen=True, slots=True)
class Grant:
    """A privilege on a table that the application has, by itself, through a group or through PUBLIC."""

    table: str
    privilege: str
    part: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """A login role or group that the application uses. `shown` is what a report calls it: names of roles are secrets."""

    shown: str
    attributes: frozenset[str]
    memberships: frozenset[str]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What was read of one database. `views` and `functions` are those that run under their owner's rights,
    functions only if others than the engine may call them."""

    tables: tuple[Table, ...]
    policies: tuple[Policy, ...]
    grants: tuple[Grant, ...]
    accounts: tuple[Account, ...]
    views: tuple[str, ...]
    materialized: tuple[str, ...]
    functions: tuple[str, ...]
    uniques: tuple[str, ...]
    foreign_keys: tuple[str, ...]
    connect: tuple[str, ...]
    creates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold, and how to find where it does not."""

    name: str
    expected: str
    gaps: Callable[[Catalog], list[str]]


def _unforced(catalog: Catalog) -> list[str]:
    guarded = {policy.table for policy in catalog.policies}
    return [
        f"table {table.name}: {missing}"
        for table in catalog.tables
        if not table.part and (table.is_of_tenants or table.enabled or table.forced or table.name in guarded)
        for missing, holds in (
            ("row-level security is not enabled", table.enabled),
            ("row-level security is not forced on its owner", table.forced),
        )
        if not holds
    ]


def _parts(catalog: Catalog) -> list[str]:
    """A part has no policies of its own: enabled without one, it shows no row to who asks it directly."""
    open_parts = {table.name for table in catalog.tables if table.part and not table.enabled}
    reached = {grant.table for grant in catalog.grants if grant.part}
    return [f"part {name}: can be read past its table's policies" for name in sorted(open_parts & reached)]


def _unbound(catalog: Catalog) -> list[str]:
    own = {table.name for table in catalog.tables if table.is_of_tenants and not table.part}
    bound = {each.table for each in catalog.policies if each.binds and TENANT in f"{each.using} {each.check}"}
    loose = [
        f"table {each.table}: the policy {each.name} binds nobody to a tenant"
        for each in catalog.policies
        if each.table in own and each.roles != {ENGINE} and not each.binds
    ]
    return [f"table {name}: no policy for the rows of a tenant" for name in sorted(own - bound - OF_OPERATORS)] + loose


def _owning(catalog: Catalog) -> list[str]:
    return [
        f"table {table.name}: owned by an application account" for table in catalog.tables if table.owned_by_application
    ]


def _excessive(catalog: Catalog) -> list[str]:
    return [
        f"table {grant.table}: {grant.privilege} granted" for grant in catalog.grants if grant.privilege not in HARMLESS
    ]


def _powerful(catalog: Catalog) -> list[str]:
    return [
        f"{account.shown} {what}"
        for account in catalog.accounts
        for what in (
            *(f"has {attribute}" for attribute in sorted(account.attributes)),
            *(f"is a member of {group}" for group in sorted(account.memberships)),
        )
    ]


def _as_owner(catalog: Catalog) -> list[str]:
    return [f"view {name}: runs under its owner's rights (no security_invoker)" for name in catalog.views]


def _materialized(catalog: Catalog) -> list[str]:
    return [f"materialized view {name}: policies do not reach what it keeps" for name in catalog.materialized]


RULES: tuple[Rule, ...] = (
    Rule("row_security_forced", "enabled and forced on every table of tenants", _unforced),
    Rule("policies", "each table of tenants has a policy that reads the transaction's tenant", _unbound),
    Rule("parts_closed", "a partition cannot be read past its table", _parts),
    Rule("ownership", "the application owns no table", _owning),
    Rule("privileges", "rows only: no TRUNCATE, REFERENCES, TRIGGER or MAINTAIN", _excessive),
    Rule(
        "accounts",
        "no superuser, BYPASSRLS, CREATEROLE, CREATEDB or REPLICATION, and no other role's rights",
        _powerful,
    ),
    Rule("views", "every view has security_invoker", _as_owner),
    Rule("materialized_views", "none", _materialized),
    Rule(
        "functions",
        "none with SECURITY DEFINER but for the engine",
        lambda each: [f"function {name}" for name in each.functions],
    ),
    Rule(
        "unique_keys",
        "each holds the tenant, so that an error tells nothing of others",
        lambda each: list(each.uniques),
    ),
    Rule("foreign_keys", "each holds the tenant on both sides", lambda each: list(each.foreign_keys)),
    Rule("connect", "granted to nobody but this database's own accounts", lambda each: list(each.connect)),
    Rule("schema_create", "the application creates nothing in the schema", lambda each: list(each.creates)),
)
"""All that is asked of a database."""

TENANT_ONLY = frozenset({"unique_keys", "foreign_keys"})
"""Rules for the databases of tenants. On the platform a person, an address or a name may be unique across tenants."""

"""Refuses to start under an account that row-level security does not bind."""

from __future__ import annotations

from config.settings import SettingsError
from tenancy.database import Database

_QUESTION = """
SELECT current_user AS role, r.rolsuper, r.rolbypassrls,
       (SELECT count(*) FROM pg_class c WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p', 'v', 'm')) AS owned,
       (SELECT bool_or(pg_has_role(current_user, c.relowner, 'USAGE'))
          FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity) AS acts_as_owner
  FROM pg_roles r WHERE r.rolname = current_user
"""


def refuse_privileges(database: Database, variable: str) -> None:
    """Raise `SettingsError` if the account is a superuser, bypasses policies, or owns (or acts for the owner of) tables."""
    row = database.fetch(_QUESTION, {})[0]
    reasons = [
        reason
        for reason, holds in (
            ("is a superuser", row["rolsuper"]),
            ("has BYPASSRLS", row["rolbypassrls"]),
            ("owns tables", row["owned"] > 0),
            ("may act as the owner of protected tables", bool(row["acts_as_owner"])),
        )
        if holds
    ]
    if reasons:
        raise SettingsError(
            f"{variable}: the account {row['role']} {' and '.join(reasons)}, so row-level security would not bind it; "
            "use an application role"
        )

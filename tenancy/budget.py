"""The connection budget: refuses to start what could ask the server for more connections than it gives."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

from config.settings import Settings, SettingsError
from domain.connections import fitting, needed

_ALLOWED: LiteralString = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true)::int, 0)
"""


def check_budget(settings: Settings, connection: psycopg.Connection[Any]) -> None:
    """Raise `SettingsError`, one line, if this node may open more connections than the server behind `connection` gives.

    Behind a pooler there is nothing to check: it holds back who comes too many.
    """
    if settings.database_pooler_url is not None:
        return
    row = connection.execute(_ALLOWED).fetchone()
    allowed, wanted = 0 if row is None else int(row[0]), needed(settings)
    if wanted <= allowed:
        return
    fits = fitting(settings, allowed)
    advice = f"{fits} would fit; or " if fits else ""
    raise SettingsError(
        f"NEXUS_TENANT_ENGINE_LIMIT: the processes may open {wanted} connections and the server gives {allowed}: {advice}"
        "lower NEXUS_WEB_WORKERS, NEXUS_WORKER_CPU_CONCURRENCY or the pool sizes, raise the server's max_connections, "
        "or set DATABASE_POOLER_URL"
    )

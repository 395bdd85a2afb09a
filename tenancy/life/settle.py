"""Bringing a tenant out of `migrating` when the job that put it there has been given up."""

from __future__ import annotations

import json
from typing import Any, LiteralString
from uuid import UUID

from config.settings import Settings
from tenancy.access import Tenancy
from tenancy.holding import Hold
from tenancy.life.quiet import Wait
from tenancy.life.tier import Progress, TierChange

_TAKE: LiteralString = """
UPDATE tenants SET version = version + 1 WHERE id = %(id)s AND state = 'migrating' RETURNING version
"""
_AS_IT_WAS: LiteralString = """
UPDATE tenants SET state = transition ->> 'from', transition = NULL, version = version + 1
 WHERE id = %(id)s AND version = %(version)s RETURNING version
"""
_HALF: LiteralString = """
UPDATE tenants SET state = 'suspended', transition = NULL, version = version + 1, settings = settings || %(marks)s::jsonb
 WHERE id = %(id)s AND version = %(version)s RETURNING version
"""


def settle(settings: Settings, tenancy: Tenancy, hold: Hold, reason: str, wait: Wait, progress: Progress) -> None:
    """Undo what was not finished where that can be done, else finish it; a half-restored tenant is suspended with `reason`."""
    if not hold.take(_TAKE):
        return
    transition: dict[str, Any] = tenancy.record(hold.tenant_id).transition or {}
    if transition.get("what") == "change_tier":
        saga = TierChange(settings, tenancy, hold, UUID(transition["job"]), wait, progress)
        if transition.get("switched"):
            saga.finish()
        else:
            saga.give_up()
    elif transition.get("destructive"):
        hold.update(_HALF, marks=json.dumps({"failure": reason, "half_restored": True}))
    else:
        hold.update(_AS_IT_WAS)

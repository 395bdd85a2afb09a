"""`platform.backup`: all databases of the platform into the operator's bucket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from config.settings import SettingsError
from domain.errors import Permanent
from jobs.backup_standing import look_at_the_platforms
from jobs.context import JobContext
from jobs.handlers import handles
from tenancy.recovery.create import Creation
from tenancy.recovery.store import Store


@handles("platform.backup")
def back_up(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """One backup, named like the job; then those that no rule keeps any more go."""
    if not context.tenant.is_operator:
        raise Permanent("Only the operator's tenant may back up the platform.", code="not_an_operator")
    try:
        creation = Creation(
            context.settings, context.tenancy, context.job_id, context.progress, context.resumed(), context.checkpoint
        )
        manifest = creation.run()
    except SettingsError as error:
        raise Permanent(error.problems[0], code="not_configured") from None
    store = Store(context.settings, context.tenancy.ring)
    superfluous = store.superfluous(datetime.now(UTC))
    for backup_id in superfluous:
        store.remove(backup_id)
    store.sweep()
    look_at_the_platforms(context.tenancy)
    return {
        "backup_id": manifest.backup_id, "taken_at": manifest.taken_at, "bytes": manifest.bytes, "rows": manifest.rows,
        "tenants": manifest.tenants, "left_out": [asdict(each) for each in manifest.left_out], "removed": len(superfluous),
    }  # fmt: skip

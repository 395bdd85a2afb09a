"""`webhook.sweep`: events that a provider's webhooks did not bring are taken in from its list of events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.context import JobContext
from jobs.external_events import keep
from jobs.handlers import handles
from providers.payments import payment_provider


@handles("webhook.sweep")
def sweep(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep each event of the last hours as if its webhook had come; those that did come are left alone."""
    since = datetime.now(UTC) - timedelta(hours=payload["hours"])
    seen = repaired = 0
    for event in payment_provider(context.settings, payload["source"]).events(since):
        context.progress(seen, None, f"{repaired} repaired")
        seen += 1
        if isinstance(event.get("id"), str) and isinstance(event.get("type"), str):
            repaired += keep(context.tenancy, payload["source"], event, context.tenant_id) is not None
    return {"seen": seen, "repaired": repaired}

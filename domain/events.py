"""The events that the platform publishes, by name: what a tenant can list, subscribe to and get by webhook."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

EVENTS: dict[str, str] = {
    "tenant.provisioned": "The tenant's database and bucket are there; it is active.",
    "job.succeeded": "A job has succeeded. Published for jobs that an endpoint asks for.",
    "job.failed": "A job has failed for good. Published for jobs that an endpoint asks for.",
    "job.cancelled": "A job was cancelled. Published for jobs that an endpoint asks for.",
    "notification.sent": "A provider took a message.",
    "completion.created": "A language model has answered.",
    "search.requested": "A search was asked for.",
    "invoice.finalised": "An invoice has its number; neither its lines nor its total change from now on.",
    "invoice.paid": "A payment covers the invoice.",
    "invoice.payment_failed": "An attempt to collect the invoice has failed.",
    "quota.reached": "As much of something was used in the period as the plan allows, or as it warns at.",
    "webhook_endpoint.disabled": "An endpoint gets nothing more, because its receiver said so or failed for days.",
    "webhook.test": "A test that someone asked for. It goes to that endpoint, whatever it subscribes to.",
}

RETENTION = timedelta(days=30)
"""How long an event can be read and its deliveries repeated."""


def selectors() -> tuple[str, ...]:
    """What an endpoint may subscribe to: `*`, all of a resource (`job.*`), or one event."""
    resources = dict.fromkeys(name.partition(".")[0] for name in EVENTS)
    return ("*", *(f"{resource}.*" for resource in resources), *EVENTS)


def selects(chosen: Iterable[str], name: str) -> bool:
    """Whether an endpoint that chose these selectors wants the event."""
    return not {"*", f"{name.partition('.')[0]}.*", name}.isdisjoint(chosen)

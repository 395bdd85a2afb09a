"""Every kind of job, as data only, so that the API validates a submission without importing a handler.

A handler in `tasks/` binds to each; a test holds the two lists together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, LiteralString

from marshmallow import Schema

from domain.errors import UnknownKind
from domain.jobs.retry import RetryPolicy
from domain.webhooks.delivery import MAX_ATTEMPTS, RETRY_SECONDS
from jobs.payloads.accounts import AccountMailLinkSchema, InvitationMailSchema
from jobs.payloads.audit import AuditExportSchema, PlatformAuditExportSchema
from jobs.payloads.billing import (
    BillingCycleSchema,
    BillingPortalSchema,
    PaymentCollectSchema,
    PaymentMethodAttachSchema,
    PaymentMethodDetachSchema,
    PaymentMethodSetupSchema,
    PaymentRefundSchema,
    UsageCollectSchema,
    UsageRelaySchema,
    WebhookProcessSchema,
    WebhookSweepSchema,
)
from jobs.payloads.completions import (
    CompletionCreateSchema,
    CompletionSweepSchema,
    CompletionVerifySchema,
    EmbeddingCreateSchema,
)
from jobs.payloads.documents import DocumentEmbedSchema, DocumentReindexSchema
from jobs.payloads.events import EventHandleSchema, WebhookDeliverSchema
from jobs.payloads.fleet import FleetDriftSchema, FleetMigrateSchema
from jobs.payloads.isolation import VerifyIsolationSchema
from jobs.payloads.keys import DestroyKeysSchema, RewrapKeysSchema, RotateKeysSchema
from jobs.payloads.notifications import (
    NotificationBatchSchema,
    NotificationBroadcastSchema,
    NotificationDeliverSchema,
    NotificationPreviewSchema,
    NotificationReportSchema,
    NotificationSendSchema,
)
from jobs.payloads.search import SearchQuerySchema, SearchSourceSchema, SearchSweepSchema
from jobs.payloads.system import PingSchema, PlatformBackupSchema, TenantCompensateSchema, TenantProvisionSchema
from jobs.payloads.tenants import (
    TenantChangeTierSchema,
    TenantEraseSchema,
    TenantExportSchema,
    TenantRestoreSchema,
    TenantSettleSchema,
    TenantTurnSchema,
)

PROVIDER_RETRY = RetryPolicy(max_attempts=8, base_delay=1.0, max_delay=600.0)
RECEIVED_RETRY = RetryPolicy(max_attempts=48, base_delay=1.0, max_delay=3600.0)
"""About a day: an event that was kept does not come again, so it outlasts a provider that cannot be asked about it."""
WEBHOOK_RETRY = RetryPolicy(MAX_ATTEMPTS, base_delay=float(RETRY_SECONDS[0]), max_delay=60.0)
"""The handler asks for the waits of the Standard Webhooks schedule, which are longer than these."""

UPKEEP_RETRY = RetryPolicy(max_attempts=20, base_delay=1.0, max_delay=300.0)

QUICK_RETRY = RetryPolicy(max_attempts=5, base_delay=0.2, max_delay=5.0)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a job of this kind is.

    `queue` is the resource class it runs in. `permission` is needed to submit it and checked again when it runs; none
    means that only the platform submits it. `deadline` bounds one attempt. `batchable` kinds share messages.
    `retention` is how long a finished job can be read. `needs_active_tenant` is false for what makes or mends a tenant.
    """

    name: str
    queue: str
    payload: type[Schema]
    permission: str | None
    retry: RetryPolicy = QUICK_RETRY
    deadline: timedelta = timedelta(minutes=5)
    priority: int = 0
    batchable: bool = True
    retention: timedelta = timedelta(days=30)
    needs_active_tenant: bool = True


def _of_life(verb: str, payload: type[Schema], hours: float = 0.25) -> Kind:
    """What happens to a whole tenant: on its own, in any state, tried for an hour or so."""
    return Kind(
        f"tenant.{verb}", "provisioning", payload, None, RetryPolicy(12, 1.0, 600.0), timedelta(hours=hours),
        batchable=False, needs_active_tenant=False,
    )  # fmt: skip


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("system.ping", "default", PingSchema, "job:create", QUICK_RETRY, timedelta(seconds=90)),
        Kind(
            "tenant.provision", "provisioning", TenantProvisionSchema, None, RetryPolicy(10, 0.5, 120.0),
            timedelta(minutes=10), batchable=False, needs_active_tenant=False,
        ),
        Kind(
            "tenant.compensate", "provisioning", TenantCompensateSchema, None, RetryPolicy(10, 1.0, 600.0),
            timedelta(minutes=10), batchable=False, needs_active_tenant=False,
        ),
        Kind(
            "tenant.rotate_keys", "provisioning", RotateKeysSchema, "tenant:update", UPKEEP_RETRY, timedelta(hours=2),
            batchable=False,
        ),
        Kind(
            "tenant.destroy_keys", "provisioning", DestroyKeysSchema, None, UPKEEP_RETRY, timedelta(hours=2), batchable=False,
        ),
        Kind(
            "system.rewrap_keys", "provisioning", RewrapKeysSchema, None, UPKEEP_RETRY, timedelta(hours=2), batchable=False,
        ),
        Kind(
            "fleet.migrate", "provisioning", FleetMigrateSchema, None, UPKEEP_RETRY, timedelta(hours=6), batchable=False,
        ),
        Kind(
            "fleet.drift", "provisioning", FleetDriftSchema, None, QUICK_RETRY, timedelta(hours=2), batchable=False,
        ),
        _of_life("suspend", TenantTurnSchema),
        _of_life("resume", TenantTurnSchema),
        _of_life("delete", TenantTurnSchema),
        _of_life("undelete", TenantTurnSchema),
        _of_life("export", TenantExportSchema, hours=6),
        _of_life("restore", TenantRestoreSchema, hours=6),
        _of_life("change_tier", TenantChangeTierSchema, hours=6),
        _of_life("settle", TenantSettleSchema),
        _of_life("erase", TenantEraseSchema, hours=2),
        Kind(
            "tenant.verify_isolation", "provisioning", VerifyIsolationSchema, "tenant:update", QUICK_RETRY,
            timedelta(minutes=10), batchable=False,
        ),
        Kind(
            "platform.verify_isolation", "provisioning", VerifyIsolationSchema, None, QUICK_RETRY,
            timedelta(hours=6), batchable=False,
        ),
        Kind("audit.export", "default", AuditExportSchema, "audit:read", QUICK_RETRY, timedelta(hours=1), batchable=False),
        Kind(
            "platform.audit_export", "default", PlatformAuditExportSchema, None, QUICK_RETRY, timedelta(hours=1),
            batchable=False,
        ),
        Kind("platform.backup", "provisioning", PlatformBackupSchema, None, UPKEEP_RETRY, timedelta(hours=12), batchable=False),
        Kind("notification.deliver", "notifications", NotificationDeliverSchema, "notification:create", PROVIDER_RETRY),
        Kind("notification.send", "notifications", NotificationSendSchema, "notification:create", PROVIDER_RETRY),
        Kind(
            "notification.broadcast", "notifications", NotificationBroadcastSchema, "notification:create", PROVIDER_RETRY,
            timedelta(minutes=30), batchable=False,
        ),
        Kind(
            "notification.batch", "notifications", NotificationBatchSchema, None, PROVIDER_RETRY, timedelta(minutes=30), -10,
            batchable=False,
        ),
        Kind(
            "notification.preview", "notifications", NotificationPreviewSchema, "notification_template:read", QUICK_RETRY,
            timedelta(seconds=60), 10, retention=timedelta(hours=1),
        ),
        Kind(
            "notification.report", "notifications", NotificationReportSchema, None, PROVIDER_RETRY, timedelta(minutes=2),
            retention=timedelta(days=1),
        ),
        Kind(
            "account.mail_link", "notifications", AccountMailLinkSchema, None, PROVIDER_RETRY, timedelta(minutes=2), 20,
            retention=timedelta(days=1),
        ),
        Kind(
            "invitation.mail", "notifications", InvitationMailSchema, None, PROVIDER_RETRY, timedelta(minutes=2), 20,
            retention=timedelta(days=1),
        ),
        Kind(
            "completion.create", "completions", CompletionCreateSchema, "completion:create", PROVIDER_RETRY,
            timedelta(minutes=10), batchable=False,
        ),
        Kind(
            "completion.verify", "completions", CompletionVerifySchema, "llm_config:update", QUICK_RETRY,
            timedelta(minutes=5), batchable=False,
        ),
        Kind("completion.sweep", "completions", CompletionSweepSchema, None, QUICK_RETRY, timedelta(minutes=30)),
        Kind(
            "embedding.create", "completions", EmbeddingCreateSchema, "completion:create", PROVIDER_RETRY,
            timedelta(minutes=10), batchable=False,
        ),
        Kind(
            "document.embed", "completions", DocumentEmbedSchema, None, PROVIDER_RETRY, timedelta(minutes=10), -5,
            batchable=False, retention=timedelta(days=1),
        ),
        Kind(
            "document.reindex", "completions", DocumentReindexSchema, None, PROVIDER_RETRY, timedelta(hours=2), -10,
            batchable=False,
        ),
        Kind("search.query", "search", SearchQuerySchema, "search:create", QUICK_RETRY, timedelta(seconds=60), 5),
        # Not batched: in one message they would answer one after the other, and a slow one would hold up the others.
        Kind(
            "search.source", "search", SearchSourceSchema, None, QUICK_RETRY, timedelta(seconds=60), 6, batchable=False,
        ),
        Kind("search.sweep", "default", SearchSweepSchema, None, UPKEEP_RETRY, timedelta(minutes=10), -10),
        Kind("webhook.process", "webhooks", WebhookProcessSchema, None, RECEIVED_RETRY),
        Kind(
            "webhook.deliver", "webhooks", WebhookDeliverSchema, None, WEBHOOK_RETRY, timedelta(seconds=60),
            batchable=False,
        ),
        Kind("event.handle", "webhooks", EventHandleSchema, None, PROVIDER_RETRY),
        Kind("billing.cycle", "billing", BillingCycleSchema, None, RetryPolicy(10, 1.0, 600.0), timedelta(minutes=30)),
        Kind("billing.portal", "webhooks", BillingPortalSchema, None, QUICK_RETRY, timedelta(seconds=60), 5),
        Kind("usage.collect", "billing", UsageCollectSchema, None, PROVIDER_RETRY, timedelta(minutes=30)),
        Kind(
            "usage.relay", "billing", UsageRelaySchema, None, PROVIDER_RETRY, timedelta(minutes=10),
            retention=timedelta(days=1),
        ),
        Kind("payment.collect", "webhooks", PaymentCollectSchema, None, PROVIDER_RETRY),
        Kind("payment.refund", "webhooks", PaymentRefundSchema, None, PROVIDER_RETRY),
        Kind("payment_method.attach", "webhooks", PaymentMethodAttachSchema, None, PROVIDER_RETRY, priority=5),
        Kind("payment_method.detach", "webhooks", PaymentMethodDetachSchema, None, PROVIDER_RETRY),
        Kind("payment_method.setup", "webhooks", PaymentMethodSetupSchema, None, QUICK_RETRY, priority=5),
        Kind("webhook.sweep", "webhooks", WebhookSweepSchema, None, PROVIDER_RETRY, timedelta(minutes=10)),
    )
}  # fmt: skip

QUEUES: tuple[str, ...] = tuple(dict.fromkeys(kind.queue for kind in KINDS.values()))


def kind(name: str) -> Kind:
    """The kind of that name. Raises `UnknownKind`."""
    try:
        return KINDS[name]
    except KeyError:
        raise UnknownKind(f"There is no job kind {name!r}; GET /api/v1/jobs/kinds lists them.") from None


def retentions() -> dict[str, list[Any]]:
    """Every kind's retention in seconds, as two parameters of a statement that ends jobs of any kind (`RETENTION`)."""
    return {"kinds": list(KINDS), "retentions": [each.retention.total_seconds() for each in KINDS.values()]}


RETENTION: LiteralString = """
make_interval(secs => coalesce((SELECT r.seconds FROM unnest(%(kinds)s::text[], %(retentions)s::float8[]) AS r (kind, seconds)
                                 WHERE r.kind = j.kind), 30 * 86400))
"""
"""SQL for how long the job `j` is kept once it has finished; 30 days for a kind that this version does not know."""


@cache
def payload_schema(name: str) -> Schema:
    """The kind's payload schema, built once: building one costs more than loading a small payload. Raises `UnknownKind`."""
    return kind(name).payload()

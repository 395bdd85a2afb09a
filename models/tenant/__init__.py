"""A tenant database's tables. Importing this package registers them all."""

from models.base import TenantBase
from models.tenant.api_call_logs import ApiCallLog
from models.tenant.applied_jobs import AppliedJob
from models.tenant.audit_outbox import AuditNote
from models.tenant.billing import Balance, Customer, Plan, Subscription, SubscriptionChange
from models.tenant.documents import Document, DocumentEmbedding, DocumentWord, SearchIndexing
from models.tenant.invoices import CreditNote, CreditNoteCounter, Invoice, InvoiceCounter, InvoiceLine
from models.tenant.llm import LlmBudget, LlmMinute, LlmOpenCall, LlmPrice
from models.tenant.messages import Message, MessageAttempt, MessageEvent
from models.tenant.metering import MeteredUsage
from models.tenant.notifications import (
    Broadcast,
    BroadcastBatch,
    NotificationProvider,
    NotificationSettings,
    Suppression,
    Template,
    TemplateVersion,
)
from models.tenant.payments import Payment, PaymentAttempt, PaymentMethod
from models.tenant.recipients import Recipient, RecipientDevice
from models.tenant.searches import Search, SearchResult, SearchSource
from models.tenant.usage import Charge, Meter, UsageCursor, UsageEvent

__all__ = [
    "ApiCallLog",
    "AppliedJob",
    "AuditNote",
    "Balance",
    "Broadcast",
    "BroadcastBatch",
    "Charge",
    "CreditNote",
    "CreditNoteCounter",
    "Customer",
    "Document",
    "DocumentEmbedding",
    "DocumentWord",
    "Invoice",
    "InvoiceCounter",
    "InvoiceLine",
    "LlmBudget",
    "LlmMinute",
    "LlmOpenCall",
    "LlmPrice",
    "Message",
    "MessageAttempt",
    "MessageEvent",
    "Meter",
    "MeteredUsage",
    "NotificationProvider",
    "NotificationSettings",
    "Payment",
    "PaymentAttempt",
    "PaymentMethod",
    "Plan",
    "Recipient",
    "RecipientDevice",
    "Search",
    "SearchIndexing",
    "SearchResult",
    "SearchSource",
    "Subscription",
    "SubscriptionChange",
    "Suppression",
    "Template",
    "TemplateVersion",
    "TenantBase",
    "UsageCursor",
    "UsageEvent",
]

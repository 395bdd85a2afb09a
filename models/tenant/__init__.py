"""A tenant database's tables. Importing this package registers them all."""

from models.base import TenantBase
from models.tenant.api_call_logs import ApiCallLog
from models.tenant.applied_jobs import AppliedJob
from models.tenant.billing import Customer, Plan, Subscription
from models.tenant.documents import Document
from models.tenant.invoices import Invoice, InvoiceCounter, InvoiceLine, Payment
from models.tenant.messages import Message, MessageAttempt, MessageEvent
from models.tenant.notifications import (
    Broadcast,
    MeteredUsage,
    NotificationProvider,
    NotificationSettings,
    Suppression,
    Template,
    TemplateVersion,
)
from models.tenant.recipients import Recipient, RecipientDevice
from models.tenant.searches import Search, SearchResult

__all__ = [
    "ApiCallLog", "AppliedJob", "Broadcast", "Customer", "Document", "Invoice", "InvoiceCounter", "InvoiceLine", "Message",
    "MessageAttempt", "MessageEvent", "MeteredUsage", "NotificationProvider", "NotificationSettings", "Payment", "Plan",
    "Recipient", "RecipientDevice", "Search", "SearchResult", "Subscription", "Suppression", "Template", "TemplateVersion",
    "TenantBase",
]  # fmt: skip

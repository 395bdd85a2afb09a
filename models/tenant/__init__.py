"""A tenant database's tables. Importing this package registers them all."""

from models.base import TenantBase
from models.tenant.api_call_logs import ApiCallLog
from models.tenant.applied_jobs import AppliedJob
from models.tenant.billing import Customer, Plan, Subscription
from models.tenant.documents import Document
from models.tenant.invoices import Invoice, InvoiceCounter, InvoiceLine, Payment
from models.tenant.llm import LlmBudget, LlmMinute, LlmOpenCall, LlmPrice
from models.tenant.messages import Message, MessageAttempt
from models.tenant.searches import Search, SearchResult

__all__ = [
    "ApiCallLog", "AppliedJob", "Customer", "Document", "Invoice", "InvoiceCounter", "InvoiceLine",
    "LlmBudget", "LlmMinute", "LlmOpenCall", "LlmPrice", "Message",
    "MessageAttempt", "Payment", "Plan", "Search", "SearchResult", "Subscription", "TenantBase",
]  # fmt: skip

"""The API's `billing`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.streams import Event
from nexus_client.transport import Transport, segment


class Billing:
    """The operations whose path begins with `billing`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def list_platform_plans(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.PlanPage:
        """List the platform's plans.

        Needs the permission `billing:read`.
        """
        answer: models.PlanPage = self._transport.send("GET", "/api/v1/billing/plans", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_platform_plans(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Plan]:
        """Every item of `list_platform_plans`, page after page."""
        return items(lambda cursor: self.list_platform_plans(limit=limit, sort=sort, cursor=cursor))

    def get_own_subscription(self) -> models.Subscription:
        """Read this tenant's subscription to the platform.

        Needs the permission `billing:read`.
        """
        answer: models.Subscription = self._transport.send("GET", "/api/v1/billing/subscription")
        return answer

    def subscribe_to_platform(self, body: models.Subscribe, /) -> models.Subscription:
        """Subscribe to a plan of the platform, or go over to it from this second on.

        Needs the permission `billing:update`.
        """
        answer: models.Subscription = self._transport.send("POST", "/api/v1/billing/subscribe", body=body)
        return answer

    def open_own_portal(self, body: models.PortalCreate, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Ask for the address of the provider's page on which this tenant sees and changes its payment methods.

        Needs the permission `billing:update`.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/billing/portal", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def get_own_entitlements(self) -> models.Entitlements:
        """Read what this tenant's plan allows, and how much of each quota is used.

        What is beyond a hard quota is refused with 402 `plan_quota_exceeded` until the period ends or the plan is changed. Of
        jobs, messages, completions, embeddings and searches, those count that were asked for.

        Needs the permission `billing:read`.
        """
        answer: models.Entitlements = self._transport.send("GET", "/api/v1/billing/entitlements")
        return answer

    def get_own_usage(self) -> models.UsageSummaryList:
        """Read what the running period has used of each meter of the plan.

        Needs the permission `billing:read`.
        """
        answer: models.UsageSummaryList = self._transport.send("GET", "/api/v1/billing/usage")
        return answer

    def list_own_invoices(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, state: Literal["draft", "open", "paid", "void", "uncollectible"] | None = None) -> models.InvoicePage:
        """List this tenant's invoices from the platform.

        Needs the permission `billing:read`.
        """
        answer: models.InvoicePage = self._transport.send("GET", "/api/v1/billing/invoices", query={"limit": limit, "cursor": cursor, "sort": sort, "state": state})
        return answer

    def iterate_own_invoices(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, state: Literal["draft", "open", "paid", "void", "uncollectible"] | None = None) -> Iterator[models.Invoice]:
        """Every item of `list_own_invoices`, page after page."""
        return items(lambda cursor: self.list_own_invoices(limit=limit, sort=sort, state=state, cursor=cursor))

    def get_own_invoice(self, invoice_id: str, /) -> models.InvoiceDetail:
        """Read one of this tenant's invoices.

        Needs the permission `billing:read`.
        """
        answer: models.InvoiceDetail = self._transport.send("GET", f"/api/v1/billing/invoices/{segment(invoice_id)}")
        return answer

    def pay_own_invoice(self, invoice_id: str, /) -> models.InvoiceDetail:
        """Have one of this tenant's invoices collected now from its default payment method. `attempts` tells how it went.

        Also one that was given up: when it is paid, the subscription goes on.

        Needs the permission `billing:update`.
        """
        answer: models.InvoiceDetail = self._transport.send("POST", f"/api/v1/billing/invoices/{segment(invoice_id)}/pay")
        return answer

    def get_own_invoice_pdf(self, invoice_id: str, /) -> bytes:
        """Read one of this tenant's invoices as a PDF.

        Needs the permission `billing:read`.
        """
        answer: bytes = self._transport.send("GET", f"/api/v1/billing/invoices/{segment(invoice_id)}/pdf")
        return answer

    def list_own_line_events(self, invoice_id: str, line_id: str, /, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.UsageEventPage:
        """List the usage that a line of one of this tenant's invoices bills, and what each event came from.

        Needs the permission `billing:read`.
        """
        answer: models.UsageEventPage = self._transport.send("GET", f"/api/v1/billing/invoices/{segment(invoice_id)}/lines/{segment(line_id)}/events", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_own_line_events(self, invoice_id: str, line_id: str, /, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.UsageEvent]:
        """Every item of `list_own_line_events`, page after page."""
        return items(lambda cursor: self.list_own_line_events(invoice_id, line_id, limit=limit, sort=sort, cursor=cursor))

    def list_own_payment_methods(self) -> models.PaymentMethodList:
        """List this tenant's payment methods.

        Needs the permission `billing:read`.
        """
        answer: models.PaymentMethodList = self._transport.send("GET", "/api/v1/billing/payment-methods")
        return answer

    def create_own_payment_method(self, body: models.PaymentMethodCreate, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Attach a payment method that the provider's form has made. It becomes the default.

        Needs the permission `billing:update`.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/billing/payment-methods", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def delete_own_payment_method(self, payment_method_id: str, /) -> None:
        """Use a payment method no more.

        Needs the permission `billing:update`.
        """
        self._transport.send("DELETE", f"/api/v1/billing/payment-methods/{segment(payment_method_id)}")

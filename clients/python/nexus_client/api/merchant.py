"""The API's `merchant`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.streams import Event
from nexus_client.transport import Transport, segment


class Merchant:
    """The operations whose path begins with `merchant`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def create_credit_note(self, body: models.CreditNoteCreate, /, *, idempotency_key: str | None = None) -> models.CreditNote:
        """Credit an invoice.

        Of an open one, less is to be paid. Of a paid one, the money is refunded to where it came from if `refund` says so, and
        else kept for the customer's next invoices.

        Needs the permission `credit_note:create`.
        """
        answer: models.CreditNote = self._transport.send("POST", "/api/v1/merchant/credit-notes", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_credit_notes(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, invoice_id: str | None = None) -> models.CreditNotePage:
        """List credit notes, newest first unless asked otherwise.

        Needs the permission `credit_note:read`.
        """
        answer: models.CreditNotePage = self._transport.send("GET", "/api/v1/merchant/credit-notes", query={"limit": limit, "cursor": cursor, "sort": sort, "invoice_id": invoice_id})
        return answer

    def iterate_credit_notes(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, invoice_id: str | None = None) -> Iterator[models.CreditNote]:
        """Every item of `list_credit_notes`, page after page."""
        return items(lambda cursor: self.list_credit_notes(limit=limit, sort=sort, invoice_id=invoice_id, cursor=cursor))

    def get_credit_note(self, credit_note_id: str, /) -> models.CreditNote:
        """Read a credit note.

        Needs the permission `credit_note:read`.
        """
        answer: models.CreditNote = self._transport.send("GET", f"/api/v1/merchant/credit-notes/{segment(credit_note_id)}")
        return answer

    def create_customer(self, body: models.CustomerCreate, /, *, idempotency_key: str | None = None) -> models.Customer:
        """Create a customer.

        Needs the permission `customer:create`.
        """
        answer: models.Customer = self._transport.send("POST", "/api/v1/merchant/customers", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_customers(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, external_id: str | None = None) -> models.CustomerPage:
        """List the tenant's customers, newest first unless asked otherwise.

        Needs the permission `customer:read`.
        """
        answer: models.CustomerPage = self._transport.send("GET", "/api/v1/merchant/customers", query={"limit": limit, "cursor": cursor, "sort": sort, "external_id": external_id})
        return answer

    def iterate_customers(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, external_id: str | None = None) -> Iterator[models.Customer]:
        """Every item of `list_customers`, page after page."""
        return items(lambda cursor: self.list_customers(limit=limit, sort=sort, external_id=external_id, cursor=cursor))

    def get_customer(self, customer_id: str, /) -> models.CustomerDetail:
        """Read a customer, with what is left over of credits.

        Needs the permission `customer:read`.
        """
        answer: models.CustomerDetail = self._transport.send("GET", f"/api/v1/merchant/customers/{segment(customer_id)}")
        return answer

    def put_customer(self, customer_id: str, body: models.CustomerPut, /, *, if_match: Mapping[str, Any] | str) -> models.CustomerDetail:
        """Change name and address. `If-Match` must carry the `ETag` that was read. Invoices that are there do not change.

        Needs the permission `customer:update`.
        """
        answer: models.CustomerDetail = self._transport.send("PUT", f"/api/v1/merchant/customers/{segment(customer_id)}", body=body, if_match=if_match)
        return answer

    def get_entitlements(self, customer_id: str, /) -> models.Entitlements:
        """Read what a customer may use now, and how much of each quota is used.

        Needs the permission `customer:read`.
        """
        answer: models.Entitlements = self._transport.send("GET", f"/api/v1/merchant/customers/{segment(customer_id)}/entitlements")
        return answer

    def list_payment_methods(self, customer_id: str, /) -> models.PaymentMethodList:
        """List a customer's payment methods.

        Needs the permission `payment_method:read`.
        """
        answer: models.PaymentMethodList = self._transport.send("GET", f"/api/v1/merchant/customers/{segment(customer_id)}/payment-methods")
        return answer

    def create_payment_method(self, customer_id: str, body: models.PaymentMethodCreate, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Attach a payment method that the provider's form has made. It becomes the customer's default.

        Needs the permission `payment_method:create`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/merchant/customers/{segment(customer_id)}/payment-methods", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def set_up_payment_method(self, customer_id: str, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Begin to collect a payment method: the job's result has the secret for the provider's form.

        Needs the permission `payment_method:create`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/merchant/customers/{segment(customer_id)}/payment-methods/setup", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def delete_payment_method(self, customer_id: str, payment_method_id: str, /) -> None:
        """Use a payment method no more.

        Needs the permission `payment_method:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/merchant/customers/{segment(customer_id)}/payment-methods/{segment(payment_method_id)}")

    def open_portal(self, customer_id: str, body: models.PortalCreate, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Ask for the address of the provider's page on which the customer sees and changes payment methods.

        Needs the permission `payment_method:create`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/merchant/customers/{segment(customer_id)}/portal", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_invoices(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, state: Literal["draft", "open", "paid", "void", "uncollectible"] | None = None, customer_id: str | None = None, subscription_id: str | None = None) -> models.InvoicePage:
        """List the tenant's invoices, newest first unless asked otherwise.

        Needs the permission `invoice:read`.
        """
        answer: models.InvoicePage = self._transport.send("GET", "/api/v1/merchant/invoices", query={"limit": limit, "cursor": cursor, "sort": sort, "state": state, "customer_id": customer_id, "subscription_id": subscription_id})
        return answer

    def iterate_invoices(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, state: Literal["draft", "open", "paid", "void", "uncollectible"] | None = None, customer_id: str | None = None, subscription_id: str | None = None) -> Iterator[models.Invoice]:
        """Every item of `list_invoices`, page after page."""
        return items(lambda cursor: self.list_invoices(limit=limit, sort=sort, state=state, customer_id=customer_id, subscription_id=subscription_id, cursor=cursor))

    def create_invoice(self, body: models.InvoiceCreate, /, *, idempotency_key: str | None = None) -> models.InvoiceDetail:
        """Draft an invoice without a subscription. It gets its number when it is made final.

        Needs the permission `invoice:create`.
        """
        answer: models.InvoiceDetail = self._transport.send("POST", "/api/v1/merchant/invoices", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def get_invoice(self, invoice_id: str, /) -> models.InvoiceDetail:
        """Read an invoice with its lines and the attempts to collect it.

        Needs the permission `invoice:read`.
        """
        answer: models.InvoiceDetail = self._transport.send("GET", f"/api/v1/merchant/invoices/{segment(invoice_id)}")
        return answer

    def delete_invoice(self, invoice_id: str, /) -> None:
        """Throw a draft away. What has a number stays; it can be voided.

        Needs the permission `invoice:update`.
        """
        self._transport.send("DELETE", f"/api/v1/merchant/invoices/{segment(invoice_id)}")

    def get_invoice_pdf(self, invoice_id: str, /) -> bytes:
        """Read an invoice as a PDF.

        Needs the permission `invoice:read`.
        """
        answer: bytes = self._transport.send("GET", f"/api/v1/merchant/invoices/{segment(invoice_id)}/pdf")
        return answer

    def list_line_events(self, invoice_id: str, line_id: str, /, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.UsageEventPage:
        """List the usage that a line bills, and what each event came from: a job, for example.

        Needs the permission `invoice:read`.
        """
        answer: models.UsageEventPage = self._transport.send("GET", f"/api/v1/merchant/invoices/{segment(invoice_id)}/lines/{segment(line_id)}/events", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_line_events(self, invoice_id: str, line_id: str, /, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.UsageEvent]:
        """Every item of `list_line_events`, page after page."""
        return items(lambda cursor: self.list_line_events(invoice_id, line_id, limit=limit, sort=sort, cursor=cursor))

    def finalise_invoice(self, invoice_id: str, /) -> models.InvoiceDetail:
        """Make a draft final: it gets the next number and is collected if the customer has a payment method.

        What the customer has left over in the currency pays first, as a line of its own.

        Needs the permission `invoice:update`.
        """
        answer: models.InvoiceDetail = self._transport.send("POST", f"/api/v1/merchant/invoices/{segment(invoice_id)}/finalise")
        return answer

    def pay_invoice(self, invoice_id: str, /) -> models.InvoiceDetail:
        """Have the invoice collected now from the customer's default payment method. `attempts` tells how it went.

        Needs the permission `invoice:update`.
        """
        answer: models.InvoiceDetail = self._transport.send("POST", f"/api/v1/merchant/invoices/{segment(invoice_id)}/pay")
        return answer

    def void_invoice(self, invoice_id: str, /) -> models.InvoiceDetail:
        """Declare an invoice void. It keeps its number, and nothing of it is billed again.

        Credits and balance that had lowered it go back to the customer's balance.

        Needs the permission `invoice:update`.
        """
        answer: models.InvoiceDetail = self._transport.send("POST", f"/api/v1/merchant/invoices/{segment(invoice_id)}/void")
        return answer

    def mark_invoice_uncollectible(self, invoice_id: str, /) -> models.InvoiceDetail:
        """Give an invoice up. A payment that comes all the same still settles it.

        Needs the permission `invoice:update`.
        """
        answer: models.InvoiceDetail = self._transport.send("POST", f"/api/v1/merchant/invoices/{segment(invoice_id)}/mark-uncollectible")
        return answer

    def create_plan(self, body: models.PlanCreate, /, *, idempotency_key: str | None = None) -> models.Plan:
        """Create a plan.

        Its `code` is unique in the tenant, and its prices never change: a new price is a new plan.

        Needs the permission `plan:create`.
        """
        answer: models.Plan = self._transport.send("POST", "/api/v1/merchant/plans", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_plans(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.PlanPage:
        """List the tenant's plans, newest first unless asked otherwise.

        Needs the permission `plan:read`.
        """
        answer: models.PlanPage = self._transport.send("GET", "/api/v1/merchant/plans", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_plans(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Plan]:
        """Every item of `list_plans`, page after page."""
        return items(lambda cursor: self.list_plans(limit=limit, sort=sort, cursor=cursor))

    def get_plan(self, plan_id: str, /) -> models.Plan:
        """Read a plan with its charges.

        Needs the permission `plan:read`.
        """
        answer: models.Plan = self._transport.send("GET", f"/api/v1/merchant/plans/{segment(plan_id)}")
        return answer

    def create_meter(self, body: models.MeterCreate, /, *, idempotency_key: str | None = None) -> models.Meter:
        """Create a meter. Its `code` is unique in the tenant; it never changes.

        Needs the permission `meter:create`.
        """
        answer: models.Meter = self._transport.send("POST", "/api/v1/merchant/meters", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_meters(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.MeterPage:
        """List the tenant's meters, newest first unless asked otherwise.

        Needs the permission `meter:read`.
        """
        answer: models.MeterPage = self._transport.send("GET", "/api/v1/merchant/meters", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_meters(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Meter]:
        """Every item of `list_meters`, page after page."""
        return items(lambda cursor: self.list_meters(limit=limit, sort=sort, cursor=cursor))

    def create_subscription(self, body: models.SubscriptionCreate, /, *, idempotency_key: str | None = None) -> models.Subscription:
        """Subscribe a customer to a plan.

        The first period begins at `anchor_at`, or when the plan's trial is over. An anchor in the past makes the periods since
        then due at once, one invoice each. A plan that is paid in advance is `incomplete` until its first invoice is paid.

        Needs the permission `subscription:create`.
        """
        answer: models.Subscription = self._transport.send("POST", "/api/v1/merchant/subscriptions", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_subscriptions(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, state: Literal["incomplete", "trialing", "active", "past_due", "canceled", "unpaid", "paused"] | None = None, customer_id: str | None = None, plan_id: str | None = None) -> models.SubscriptionPage:
        """List the tenant's subscriptions, newest first unless asked otherwise.

        Needs the permission `subscription:read`.
        """
        answer: models.SubscriptionPage = self._transport.send("GET", "/api/v1/merchant/subscriptions", query={"limit": limit, "cursor": cursor, "sort": sort, "state": state, "customer_id": customer_id, "plan_id": plan_id})
        return answer

    def iterate_subscriptions(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, state: Literal["incomplete", "trialing", "active", "past_due", "canceled", "unpaid", "paused"] | None = None, customer_id: str | None = None, plan_id: str | None = None) -> Iterator[models.Subscription]:
        """Every item of `list_subscriptions`, page after page."""
        return items(lambda cursor: self.list_subscriptions(limit=limit, sort=sort, state=state, customer_id=customer_id, plan_id=plan_id, cursor=cursor))

    def get_subscription(self, subscription_id: str, /) -> models.Subscription:
        """Read a subscription.

        Needs the permission `subscription:read`.
        """
        answer: models.Subscription = self._transport.send("GET", f"/api/v1/merchant/subscriptions/{segment(subscription_id)}")
        return answer

    def preview_invoice(self, subscription_id: str, /) -> models.InvoicePreview:
        """Show what the next invoice would hold: the fee of the whole period, and the usage so far.

        Needs the permission `subscription:read`.
        """
        answer: models.InvoicePreview = self._transport.send("GET", f"/api/v1/merchant/subscriptions/{segment(subscription_id)}/preview")
        return answer

    def change_plan(self, subscription_id: str, body: models.SubscriptionPlan, /) -> models.Subscription:
        """Go over to another plan from this second on.

        The next invoice holds both plans' parts of the period; what was paid in advance and not used is taken off. The plans
        must have the same currency, rhythm and time of payment.

        Needs the permission `subscription:update`.
        """
        answer: models.Subscription = self._transport.send("POST", f"/api/v1/merchant/subscriptions/{segment(subscription_id)}/change-plan", body=body)
        return answer

    def pause_subscription(self, subscription_id: str, /) -> models.Subscription:
        """Let a subscription rest from this second on: its periods go on, without a fee.

        Needs the permission `subscription:update`.
        """
        answer: models.Subscription = self._transport.send("POST", f"/api/v1/merchant/subscriptions/{segment(subscription_id)}/pause")
        return answer

    def resume_subscription(self, subscription_id: str, /) -> models.Subscription:
        """Set a resting subscription going again from this second on.

        Needs the permission `subscription:update`.
        """
        answer: models.Subscription = self._transport.send("POST", f"/api/v1/merchant/subscriptions/{segment(subscription_id)}/resume")
        return answer

    def cancel_subscription(self, subscription_id: str, body: models.SubscriptionCancel, /) -> models.Subscription:
        """End a subscription now or with the period that runs.

        `cancel_at` says when. The last invoice comes then, of a plan with charges for usage an hour later, and the state
        becomes `canceled` with it.

        Needs the permission `subscription:update`.
        """
        answer: models.Subscription = self._transport.send("POST", f"/api/v1/merchant/subscriptions/{segment(subscription_id)}/cancel", body=body)
        return answer

    def keep_subscription(self, subscription_id: str, /) -> models.Subscription:
        """Take back a cancellation that has not come yet.

        Needs the permission `subscription:update`.
        """
        answer: models.Subscription = self._transport.send("POST", f"/api/v1/merchant/subscriptions/{segment(subscription_id)}/keep")
        return answer

    def create_usage_events(self, body: models.UsageEventsCreate, /) -> models.UsageEventsCreated:
        """Take in what customers used: all of it, or nothing if anything is wrong with one.

        An event whose `transaction_id` came before is left as it was, so a request may be repeated without a key. Usage of the
        period before the running one becomes an adjustment on the next invoice; what is older, or lies in the future, is refused.

        Needs the permission `usage_event:create`.
        """
        answer: models.UsageEventsCreated = self._transport.send("POST", "/api/v1/merchant/usage-events", body=body)
        return answer

    def list_usage_events(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, customer_id: str | None = None, code: str | None = None, transaction_id: str | None = None) -> models.UsageEventPage:
        """List usage events, those that came last first unless asked otherwise.

        Needs the permission `usage_event:read`.
        """
        answer: models.UsageEventPage = self._transport.send("GET", "/api/v1/merchant/usage-events", query={"limit": limit, "cursor": cursor, "sort": sort, "customer_id": customer_id, "code": code, "transaction_id": transaction_id})
        return answer

    def iterate_usage_events(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, customer_id: str | None = None, code: str | None = None, transaction_id: str | None = None) -> Iterator[models.UsageEvent]:
        """Every item of `list_usage_events`, page after page."""
        return items(lambda cursor: self.list_usage_events(limit=limit, sort=sort, customer_id=customer_id, code=code, transaction_id=transaction_id, cursor=cursor))

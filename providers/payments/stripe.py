"""Stripe through its official SDK, without the SDK's retries: those belong to the job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from domain.billing.stripe_amounts import to_stripe
from domain.errors import JobError, Permanent, RateLimited, Transient
from providers.calls import Calling
from providers.payments.base import ChargeRequest, ChargeResult, Method, ProviderObject, RefundRequest
from providers.retry_after import retry_after

STRIPE_URL = "https://api.stripe.com"

# Our word for the type, as events write it in `data.object.object`, and the SDK's service that reads it.
_SERVICES = {
    "charge": "charges",
    "checkout.session": "checkout.sessions",
    "credit_note": "credit_notes",
    "customer": "customers",
    "dispute": "disputes",
    "event": "events",
    "invoice": "invoices",
    "payment_intent": "payment_intents",
    "payment_method": "payment_methods",
    "price": "prices",
    "product": "products",
    "refund": "refunds",
    "setup_intent": "setup_intents",
    "subscription": "subscriptions",
}
_ID = re.compile(r"[A-Za-z0-9_]{1,255}")


class StripePaymentProvider:
    """`api_base` may be a double's address; `timeout` in seconds."""

    name = "stripe"

    def __init__(self, *, api_key: str, api_base: str = STRIPE_URL, timeout: float = 20.0):
        self._api_key = api_key
        self._api_base = api_base
        self._timeout = timeout

    def retrieve(self, object_type: str, object_id: str) -> ProviderObject:
        """Read one object; raises as `PaymentProvider.retrieve` says."""
        service = _SERVICES.get(object_type)
        if service is None:
            raise Permanent(f"We read no objects of type {object_type[:80]!r}.", code="object_type_unknown")
        if not _ID.fullmatch(object_id):
            raise Permanent("That is not an id of Stripe's.", code="provider_rejected")
        data = self._fetch(service, object_id)
        if data.get("id") != object_id:
            raise _malformed()
        status = data.get("status")
        return ProviderObject(
            provider=self.name,
            object_type=object_type,
            id=object_id,
            status=status if isinstance(status, str) else None,
            livemode=data.get("livemode") is True,
            data=data,
        )

    def create_customer(self, name: str, email: str, metadata: Mapping[str, str], key: str) -> str:
        """A customer of Stripe's."""
        sent = {"name": name, "email": email, "metadata": dict(metadata)}
        return _text(self._call("customers.create", sent, key=key), "id")

    def attach(self, customer: str, payment_method: str, key: str) -> Method:
        """Attach, and read what a person recognises the card by."""
        data = self._call("payment_methods.attach", payment_method, {"customer": customer}, key=key)
        kind = data.get("type")
        shown = data.get(kind) if isinstance(kind, str) else None
        details: Mapping[str, Any] = shown if isinstance(shown, dict) else {}
        return Method(
            _text(data, "id"), str(details.get("brand") or kind or "unknown"), str(details.get("last4") or "")
        )

    def detach(self, payment_method: str, key: str) -> None:
        """Detach."""
        self._call("payment_methods.detach", payment_method, key=key)

    def set_up(self, customer: str, key: str) -> str:
        """A SetupIntent, for payments while its owner is away."""
        sent = {"customer": customer, "usage": "off_session"}
        return _text(self._call("setup_intents.create", sent, key=key), "client_secret")

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """A PaymentIntent, confirmed at once. A card's refusal is a result, not an error."""
        sent = {
            "amount": to_stripe(request.amount, request.currency), "currency": request.currency.lower(), "customer": request.customer,
            "payment_method": request.payment_method, "confirm": True, "off_session": True,
            "metadata": dict(request.metadata),
        }  # fmt: skip
        try:
            data = self._call("payment_intents.create", sent, key=request.key)
        except Permanent as error:
            refused = _refusal(error.__cause__)
            if refused is None:
                raise
            return refused
        return _charged(data)

    def find_charge(self, customer: str, since: datetime, key: str) -> ChargeResult | None:
        """Looks through the customer's PaymentIntents for the one whose metadata has the key as `attempt`."""
        sent = {"customer": customer, "created": {"gte": int(since.timestamp()) - 60}}
        for intent in self._pages("payment_intents.list", sent):
            metadata = intent.get("metadata")
            if isinstance(metadata, dict) and metadata.get("attempt") == key:
                return _charged(intent)
        return None

    def refund(self, request: RefundRequest) -> str:
        """A refund of the PaymentIntent."""
        sent = {
            "payment_intent": request.payment, "amount": to_stripe(request.amount, request.currency),
            "metadata": {**request.metadata, "key": request.key},
        }  # fmt: skip
        return _text(self._call("refunds.create", sent, key=request.key), "id")

    def find_refund(self, request: RefundRequest) -> str | None:
        """Looks through the PaymentIntent's refunds for the one whose metadata has the key."""
        for refund in self._pages("refunds.list", {"payment_intent": request.payment}):
            metadata = refund.get("metadata")
            if isinstance(metadata, dict) and metadata.get("key") == request.key:
                return _text(refund, "id")
        return None

    def portal(self, customer: str, return_url: str, key: str) -> str:
        """A session of Stripe's billing portal."""
        sent = {"customer": customer, "return_url": return_url}
        return _text(self._call("billing_portal.sessions.create", sent, key=key), "url")

    def events(self, since: datetime) -> Iterator[Mapping[str, Any]]:
        """The account's events; Stripe keeps them for 30 days."""
        yield from self._pages("events.list", {"created": {"gte": int(since.timestamp())}})

    def _pages(self, method: str, sent: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        after: dict[str, str] = {}
        while True:
            page = self._call(method, {**sent, "limit": 100, **after})
            found = page.get("data")
            if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
                raise _malformed()
            yield from found
            if page.get("has_more") is not True or not found:
                return
            after = {"starting_after": _text(found[-1], "id")}

    def _fetch(self, service: str, object_id: str) -> dict[str, Any]:
        return self._call(f"{service}.retrieve", object_id)

    def _call(self, method: str, *arguments: Any, key: str | None = None) -> dict[str, Any]:
        import stripe

        http: Any = stripe.RequestsClient(timeout=self._timeout)
        client = stripe.StripeClient(
            self._api_key, base_addresses={"api": self._api_base}, max_network_retries=0, http_client=http
        )
        called: Any = client.v1
        for name in method.split("."):
            called = getattr(called, name)
        options: dict[str, Any] = {} if key is None else {"options": {"idempotency_key": key}}
        with Calling(self.name, method):
            try:
                found = called(*arguments, **options)
            except stripe.StripeError as error:
                raise _failure(error) from error
            finally:
                http.close()
        if not isinstance(found, stripe.StripeObject):
            raise _malformed()
        return found.to_dict(for_json=True)


def _refusal(error: object) -> ChargeResult | None:
    """The bank said no: a result, with the PaymentIntent that was made all the same. None for any other error."""
    import stripe

    if not isinstance(error, stripe.CardError):
        return None
    body = error.json_body if isinstance(error.json_body, dict) else {}
    found = body.get("error")
    told: Mapping[str, Any] = found if isinstance(found, dict) else {}
    intent = told.get("payment_intent")
    reason = str(told.get("decline_code") or error.code or "card_declined")[:80]
    return ChargeResult(intent.get("id") if isinstance(intent, dict) else None, "failed", reason)


def _charged(intent: Mapping[str, Any]) -> ChargeResult:
    status = intent.get("status")
    if status == "succeeded":
        return ChargeResult(_text(intent, "id"), "succeeded")
    if status == "processing":
        return ChargeResult(_text(intent, "id"), "pending")
    return ChargeResult(_text(intent, "id"), "failed", str(status)[:80])


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise _malformed()
    return value


def _malformed() -> Transient:
    return Transient("stripe gave an answer that cannot be read.", code="provider_malformed_response")


def _failure(error: Any) -> JobError:
    import stripe

    status = error.http_status
    if isinstance(error, stripe.APIConnectionError):
        return Transient("stripe cannot be reached.", code="provider_unreachable")
    if isinstance(error, stripe.RateLimitError):
        return RateLimited("stripe asks to wait.", retry_after=retry_after(error.headers or {}))
    if status in (401, 403):
        return Permanent(f"stripe does not accept the API key ({status}).", code="provider_unauthorized")
    if status == 404:  # Not Found
        return Permanent("stripe knows no such object.", code="object_not_found")
    if status is None or status < 400:
        return _malformed()
    if status >= 500 or status == 409:  # 409 is a lock held by another request
        return Transient(f"stripe failed ({status}).", code="provider_unavailable")
    return Permanent(f"stripe refused the request ({status}).", code="provider_rejected")

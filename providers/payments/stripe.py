"""Stripe through its official SDK, without the SDK's retries: those belong to the job."""

from __future__ import annotations

import re
from typing import Any

from domain.errors import JobError, Permanent, RateLimited, Transient
from providers.payments.base import ProviderObject
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

    def _fetch(self, service: str, object_id: str) -> dict[str, Any]:
        import stripe

        http: Any = stripe.RequestsClient(timeout=self._timeout)
        client = stripe.StripeClient(
            self._api_key, base_addresses={"api": self._api_base}, max_network_retries=0, http_client=http
        )
        reader: Any = client.v1
        for name in service.split("."):
            reader = getattr(reader, name)
        try:
            found = reader.retrieve(object_id)
        except stripe.StripeError as error:
            raise _failure(error) from error
        finally:
            http.close()
        if not isinstance(found, stripe.StripeObject):
            raise _malformed()
        return found.to_dict(for_json=True)


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

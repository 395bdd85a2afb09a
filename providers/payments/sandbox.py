"""Payments without a provider, for development. Every object says that it is one of these."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from domain.errors import Permanent
from providers.payments.base import ChargeRequest, ChargeResult, Method, ProviderObject, RefundRequest

# The state in which an event would most often leave the object.
_STATUSES = {
    "charge": "succeeded",
    "checkout.session": "complete",
    "customer": None,
    "event": None,
    "invoice": "paid",
    "payment_intent": "succeeded",
    "payment_method": None,
    "refund": "succeeded",
    "setup_intent": "succeeded",
    "subscription": "active",
}


class SandboxPaymentProvider:
    """Deterministic: the same id is always the same object. It asks nobody and moves no money."""

    name = "sandbox"

    def retrieve(self, object_type: str, object_id: str) -> ProviderObject:
        """An object in the state that its type ends in. Raises `Permanent` for a type it does not know."""
        if object_type not in _STATUSES:
            raise Permanent(f"We read no objects of type {object_type[:80]!r}.", code="object_type_unknown")
        status = _STATUSES[object_type]
        data = {"id": object_id, "object": object_type, "livemode": False, "sandbox": True, "status": status}
        return ProviderObject(self.name, object_type, object_id, status, livemode=False, data=data, sandbox=True)

    def create_customer(self, name: str, email: str, metadata: Mapping[str, str], key: str) -> str:
        """An id that the key decides."""
        return _id("cus", key)

    def attach(self, customer: str, payment_method: str, key: str) -> Method:
        """Stripe's names of test cards are known here too: those with `Declined` in them refuse to pay."""
        return Method(payment_method, "sandbox", "0002" if _declines(payment_method) else "4242")

    def detach(self, payment_method: str, key: str) -> None:
        """Nothing to do."""

    def set_up(self, customer: str, key: str) -> str:
        """A secret that no form takes."""
        return f"{_id('seti', key)}_secret_sandbox"

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Succeeds unless the payment method is one that declines. No money moves."""
        if _declines(request.payment_method):
            return ChargeResult(_id("pi", request.key), "failed", "card_declined")
        return ChargeResult(_id("pi", request.key), "succeeded")

    def find_charge(self, customer: str, since: datetime, key: str) -> ChargeResult | None:
        """None: it remembers nothing."""
        return None

    def refund(self, request: RefundRequest) -> str:
        """An id that the key decides."""
        return _id("re", request.key)

    def find_refund(self, request: RefundRequest) -> str | None:
        """None: it remembers nothing."""
        return None

    def portal(self, customer: str, return_url: str, key: str) -> str:
        """The address to come back to, which says that this was the sandbox."""
        return f"{return_url}{'&' if '?' in return_url else '?'}portal=sandbox"

    def events(self, since: datetime) -> Iterator[Mapping[str, Any]]:
        """None: it sends no webhooks."""
        return iter(())


def _declines(payment_method: str) -> bool:
    return "declined" in payment_method.lower()


def _id(prefix: str, key: str) -> str:
    return f"{prefix}_sandbox_{hashlib.sha256(key.encode()).hexdigest()[:24]}"

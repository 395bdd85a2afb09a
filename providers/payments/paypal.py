"""PayPal: a placeholder that says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from domain.errors import Permanent
from providers.payments.base import ChargeRequest, ChargeResult, Method, ProviderObject, RefundRequest


class PayPalPaymentProvider:
    """Holds PayPal's place in the registry; every call raises `Permanent` with `provider_not_supported`."""

    name = "paypal"

    def retrieve(self, object_type: str, object_id: str) -> ProviderObject:
        """Refused."""
        raise _placeholder(f"{object_type} {object_id} was not read")

    def create_customer(self, name: str, email: str, metadata: Mapping[str, str], key: str) -> str:
        """Refused."""
        raise _placeholder("no customer was made")

    def attach(self, customer: str, payment_method: str, key: str) -> Method:
        """Refused."""
        raise _placeholder("no payment method was attached")

    def detach(self, payment_method: str, key: str) -> None:
        """Refused."""
        raise _placeholder("no payment method was detached")

    def set_up(self, customer: str, key: str) -> str:
        """Refused."""
        raise _placeholder("nothing was set up")

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Refused."""
        raise _placeholder("nothing was charged")

    def find_charge(self, customer: str, since: datetime, key: str) -> ChargeResult | None:
        """Refused."""
        raise _placeholder("no charge was looked for")

    def refund(self, request: RefundRequest) -> str:
        """Refused."""
        raise _placeholder("nothing was refunded")

    def find_refund(self, request: RefundRequest) -> str | None:
        """Refused."""
        raise _placeholder("no refund was looked for")

    def portal(self, customer: str, return_url: str, key: str) -> str:
        """Refused."""
        raise _placeholder("there is no portal")

    def events(self, since: datetime) -> Iterator[Mapping[str, Any]]:
        """Refused."""
        raise _placeholder("no events were read")


def _placeholder(what: str) -> Permanent:
    return Permanent(f"PayPal is a placeholder: {what}. Use stripe.", code="provider_not_supported")

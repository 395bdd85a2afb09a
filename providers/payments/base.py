"""What billing needs of a payment provider. The invoices are ours; a provider only moves money and remembers it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class ProviderObject:
    """An object at a payment provider. `data` holds all of it, in the provider's own shape; `status` is None where its
    type has none. `sandbox` is true where no provider was asked."""

    provider: str
    object_type: str
    id: str
    status: str | None
    livemode: bool
    data: Mapping[str, Any]
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """Money to collect: `amount` in minor units of `currency`. The same `key` is the same payment, however often it is
    asked for; `metadata` comes back with every event of it."""

    amount: int
    currency: str
    customer: str
    payment_method: str
    key: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ChargeResult:
    """How it went. `pending` means that the provider will tell later; `error_code` is its word for a refusal."""

    id: str | None
    state: Literal["succeeded", "pending", "failed"]
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Money to give back: `amount` in minor units of `currency`, of the payment with that id. The same `key` is the same
    refund; `metadata` comes back with every event of it."""

    payment: str
    amount: int
    currency: str
    key: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Method:
    """A payment method as a person recognises it."""

    id: str
    brand: str
    last4: str


class PaymentProvider(Protocol):
    """Every call raises `RateLimited`, `Transient` (`provider_unavailable`, `provider_unreachable`: it may have acted,
    `provider_malformed_response`) or `Permanent` (`object_not_found`, `object_type_unknown`, `provider_unauthorized`,
    `provider_rejected`, `provider_not_supported`). What has a `key` is safe to repeat with it."""

    @property
    def name(self) -> str: ...

    def retrieve(self, object_type: str, object_id: str) -> ProviderObject:
        """The object as it is now. Reading changes nothing, so it is safe to repeat."""
        ...

    def create_customer(self, name: str, email: str, metadata: Mapping[str, str], key: str) -> str:
        """Make a customer; returns its id."""
        ...

    def attach(self, customer: str, payment_method: str, key: str) -> Method:
        """Give the customer a payment method that the provider's own form has made."""
        ...

    def detach(self, payment_method: str, key: str) -> None:
        """Take a payment method away from its customer."""
        ...

    def set_up(self, customer: str, key: str) -> str:
        """Begin to collect a payment method; returns the secret with which the provider's form goes on."""
        ...

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Collect money from a payment method while its owner is away."""
        ...

    def find_charge(self, customer: str, since: datetime, key: str) -> ChargeResult | None:
        """What became of a charge whose answer was lost too long ago to be asked for again; None: it was never made."""
        ...

    def refund(self, request: RefundRequest) -> str:
        """Give back a part of a payment, or all of it; returns the refund's id."""
        ...

    def find_refund(self, request: RefundRequest) -> str | None:
        """The id of a refund whose answer was lost too long ago to be asked for again; None: it was never made."""
        ...

    def portal(self, customer: str, return_url: str, key: str) -> str:
        """The address of a page where the customer sees and changes payment methods; it works for minutes."""
        ...

    def events(self, since: datetime) -> Iterator[Mapping[str, Any]]:
        """The events since then as webhooks would have brought them, the newest first."""
        ...

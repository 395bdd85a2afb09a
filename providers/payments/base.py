"""What processing a payment webhook needs from a provider: the object as it is now, not as the event saw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


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


class PaymentProvider(Protocol):
    """Moves money and remembers it; the invoices are ours."""

    @property
    def name(self) -> str: ...

    def retrieve(self, object_type: str, object_id: str) -> ProviderObject:
        """The object as it is now. Reading changes nothing, so it is safe to repeat.

        Raises `RateLimited`, `Transient` (`provider_unavailable`, `provider_unreachable`,
        `provider_malformed_response`) or `Permanent` (`object_not_found`, `object_type_unknown`,
        `provider_unauthorized`, `provider_rejected`, `provider_not_supported`).
        """
        ...

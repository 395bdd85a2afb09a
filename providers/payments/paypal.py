"""PayPal: a placeholder that says so."""

from __future__ import annotations

from domain.errors import Permanent
from providers.payments.base import ProviderObject


class PayPalPaymentProvider:
    """Holds PayPal's place in the registry; every call is refused."""

    name = "paypal"

    def retrieve(self, object_type: str, object_id: str) -> ProviderObject:
        """Raises `Permanent` with `provider_not_supported`, always."""
        raise Permanent(
            f"PayPal is a placeholder: {object_type} {object_id} was not read. Use stripe.",
            code="provider_not_supported",
        )

"""Payments without a provider, for development. Every object says that it is one of these."""

from __future__ import annotations

from domain.errors import Permanent
from providers.payments.base import ProviderObject

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

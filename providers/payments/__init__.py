"""Payments: the Protocol and the registry of providers."""

from __future__ import annotations

from config.settings import Settings
from domain.errors import Permanent
from providers.payments.base import ChargeRequest, ChargeResult, Method, PaymentProvider, ProviderObject, RefundRequest

__all__ = [
    "ChargeRequest",
    "ChargeResult",
    "Method",
    "PaymentProvider",
    "ProviderObject",
    "RefundRequest",
    "payment_provider",
]


def payment_provider(settings: Settings, name: str, timeout: float = 20.0) -> PaymentProvider:
    """The provider called `name`, with the platform's account there; `timeout` in seconds.

    `stripe` without a key is the labelled sandbox in development and `Permanent` with `provider_not_configured` in
    production. Raises `Permanent` with `provider_not_supported` for an unknown name.
    """
    if name == "paypal":
        from providers.payments.paypal import PayPalPaymentProvider

        return PayPalPaymentProvider()
    if name == "stripe" and settings.stripe_api_key is not None:
        from providers.payments.stripe import STRIPE_URL, StripePaymentProvider

        key, base = settings.stripe_api_key.get_secret_value(), settings.stripe_api_base or STRIPE_URL
        return StripePaymentProvider(api_key=key, api_base=base, timeout=timeout)
    if name in ("stripe", "sandbox") and settings.environment == "production":
        if name == "sandbox":
            raise Permanent("The sandbox moves no money; attach a real method.", code="provider_not_supported")
        raise Permanent("Stripe is not configured: set STRIPE_API_KEY.", code="provider_not_configured")
    if name in ("stripe", "sandbox"):
        from providers.payments.sandbox import SandboxPaymentProvider

        return SandboxPaymentProvider()
    raise Permanent(f"There is no payment provider {name!r}.", code="provider_not_supported")

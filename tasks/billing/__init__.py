"""Billing: cycles, collecting, settling, metering the platform's own usage, and what payment providers are asked."""

from tasks.billing import collecting, cycles, metering, methods, refunds, relaying
from tasks.billing.cycles import cycle
from tasks.billing.due import refresh_due

__all__ = ["collecting", "cycle", "cycles", "metering", "methods", "refresh_due", "refunds", "relaying"]

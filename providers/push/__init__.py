"""Push messages to devices: the Protocol and what implements it."""

from providers.push.base import PushMessage, PushProvider

__all__ = ["PushMessage", "PushProvider"]

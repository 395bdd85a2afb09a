"""Text messages: the Protocol and what implements it."""

from providers.sms.base import SmsMessage, SmsProvider

__all__ = ["SmsMessage", "SmsProvider"]

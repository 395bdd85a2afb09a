"""Mail for development, as a line in the log."""

from __future__ import annotations

import structlog

from providers.email.base import EmailMessage
from providers.email.mime import compose
from providers.messages import SentMessage

log = structlog.get_logger(__name__)


class ConsoleEmailProvider:
    """Says that it would send, without the text. Idempotent, since nobody gets anything."""

    name = "console"
    idempotent = True

    def send(self, message: EmailMessage) -> SentMessage:
        """Compose the message, as a real provider would, and write an event to the log."""
        composed = compose(message)
        log.info("notification.console", channel="email", message_id=str(message.id), bytes=len(composed.content))
        return SentMessage(self.name, composed.message_id, "shown on the console")

"""Text messages for development: files beside the mails, or lines on the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import structlog

from domain.errors import Transient
from providers.durable_files import write_durably
from providers.messages import SentMessage
from providers.sms.base import SmsMessage

log = structlog.get_logger(__name__)


class FileSmsProvider:
    """Writes `{id}.sms.json`. Idempotent: the same message is the same file."""

    name = "file"
    idempotent = True

    def __init__(self, outbox: Path):
        self._outbox = outbox

    def send(self, message: SmsMessage) -> SentMessage:
        """Write the message. Raises `Transient` if the disk fails."""
        path = self._outbox / f"{message.id}.sms.json"
        try:
            write_durably(path, [json.dumps({"to": message.to, "text": message.text}).encode()])
        except OSError as error:
            raise Transient(f"The outbox cannot be written: {error.strerror}.", code="outbox_unavailable") from error
        return SentMessage(self.name, str(message.id), f"written to {path.name}")


class ConsoleSmsProvider:
    """Says that it would send. Idempotent, since nobody gets anything."""

    name = "console"
    idempotent = True

    def send(self, message: SmsMessage) -> SentMessage:
        """Write an event to the log, without the text."""
        log.info("notification.console", channel="sms", message_id=str(message.id), characters=len(message.text))
        return SentMessage(self.name, str(message.id), "shown on the console")

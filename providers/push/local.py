"""Push messages for development: files beside the mails, or lines on the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import structlog

from domain.errors import Transient
from providers.durable_files import write_durably
from providers.messages import SentMessage
from providers.push.base import PushMessage

log = structlog.get_logger(__name__)


class FilePushProvider:
    """Writes `{id}.push.json`. Idempotent: the same message is the same file."""

    name = "file"
    idempotent = True

    def __init__(self, outbox: Path):
        self._outbox = outbox

    def send(self, message: PushMessage) -> SentMessage:
        """Write the message, without the device's address. Raises `Transient` if the disk fails."""
        path = self._outbox / f"{message.id}.push.json"
        shown = {"title": message.title, "text": message.text, "data": dict(message.data)}
        try:
            write_durably(path, [json.dumps(shown).encode()])
        except OSError as error:
            raise Transient(f"The outbox cannot be written: {error.strerror}.", code="outbox_unavailable") from error
        return SentMessage(self.name, str(message.id), f"written to {path.name}")


class ConsolePushProvider:
    """Says that it would send. Idempotent, since nobody gets anything."""

    name = "console"
    idempotent = True

    def send(self, message: PushMessage) -> SentMessage:
        """Write an event to the log, without the text."""
        log.info("notification.console", channel="push", message_id=str(message.id), characters=len(message.text))
        return SentMessage(self.name, str(message.id), "shown on the console")

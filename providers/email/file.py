"""Mail for development: one `.eml` file per message, which any mail program opens."""

from __future__ import annotations

from pathlib import Path

from domain.errors import Transient
from providers.durable_files import write_durably
from providers.email.base import EmailMessage, SentMessage
from providers.email.mime import compose


class FileEmailProvider:
    """Writes `{id}.eml` into `outbox`. Idempotent: the same message is the same file."""

    name = "file"
    idempotent = True

    def __init__(self, outbox: Path):
        self._outbox = outbox

    def send(self, message: EmailMessage) -> SentMessage:
        """Write the message, whole and on the disk. Raises `Permanent` as `compose`, `Transient` if the disk fails."""
        composed = compose(message)
        path = self._outbox / f"{message.id}.eml"
        try:
            write_durably(path, [composed.content])
        except OSError as error:
            raise Transient(f"The outbox cannot be written: {error.strerror}.", code="outbox_unavailable") from error
        return SentMessage(self.name, composed.message_id, f"written to {path.name}")

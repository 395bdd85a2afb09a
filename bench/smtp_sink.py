"""A mail server that takes everything and remembers only when: quick enough not to be what is measured."""

from __future__ import annotations

import asyncio
import threading
import time
from types import TracebackType
from typing import Self


class _Conversation(asyncio.Protocol):
    """One client, answered line by line; it may send commands together (RFC 2920), as the mail servers in use let it."""

    def __init__(self, sink: SmtpSink):
        self._sink, self._rest, self._in_data, self._leaving = sink, b"", False, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # TCP has no other
        self._sink.connections += 1
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._rest += data
        answers = []
        while True:
            end = b"\r\n.\r\n" if self._in_data else b"\r\n"
            piece, found, rest = self._rest.partition(end)
            if not found:
                break
            self._rest = rest
            answers.append(self._answer(piece))
        self._transport.write(b"".join(answers))
        if self._leaving:
            self._transport.close()

    def _answer(self, piece: bytes) -> bytes:
        if self._in_data:
            self._in_data = False
            self._sink.moments.append(time.monotonic())
            return b"250 taken\r\n"
        word = piece[:4].upper()
        if word == b"DATA":
            self._in_data = True
            return b"354 go on\r\n"
        if word == b"QUIT":
            self._leaving = True
            return b"221 bye\r\n"
        if word == b"EHLO":
            return b"250-sink\r\n250 PIPELINING\r\n"
        if word == b"RCPT":
            self._sink.recipients.add(piece[8:])
        return b"250 fine\r\n"


class SmtpSink:
    """Listens on a free port of loopback while the block lasts."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.recipients: set[bytes] = set()
        self.connections = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def reset(self) -> None:
        """Forget everything."""
        self.moments, self.recipients, self.connections = [], set(), 0

    def _run(self) -> None:
        self._loop.run_forever()

    def __enter__(self) -> Self:
        self._thread.start()
        making = self._loop.create_server(lambda: _Conversation(self), "127.0.0.1", 0, backlog=512)
        server = asyncio.run_coroutine_threadsafe(making, self._loop).result(10)
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

"""A small HTTP/1.1 client on asyncio: cheap enough that thousands of open connections and thousands of requests a second
load the server and not the one who measures. It speaks what our servers answer: a length, chunks, or nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from bench.tenant_client import Refused


@dataclass(slots=True)
class Connection:
    """One connection, kept open. `request` and then `body` or `lines`."""

    host: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, base_url: str) -> Self:
        """Connect."""
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port or 80
        reader, writer = await asyncio.open_connection(host, port, limit=2**16)
        return cls(f"{host}:{port}", reader, writer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> dict[str, str]:
        """Send; returns the answer's headers in small letters. Raises `Refused` unless it is a 2xx."""
        content = b"" if body is None else json.dumps(body).encode()
        fields = {"Host": self.host, "Content-Length": str(len(content)), "Content-Type": "application/json", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in answer[1:])}
        if not answer[0].split(" ")[1].startswith("2"):
            text = (await self.body(found)).decode(errors="replace")
            raise Refused(f"{method} {path}: {answer[0]} {text[:300]}")
        return found

    async def body(self, headers: Mapping[str, str]) -> bytes:
        """The whole answer."""
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        return b"".join([chunk async for chunk in self._chunks()])

    async def lines(self) -> AsyncIterator[str]:
        """The lines of a chunked answer as they come."""
        rest = b""
        async for chunk in self._chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line.decode()

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.reader.readline(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()

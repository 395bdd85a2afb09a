"""A language model's server for measurements: OpenAI's wire format, an answer or a stream after some seconds, thousands at once.

Run with `python -m bench.doubles PORT SECONDS`, in a process of its own so that it takes no time from what is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

_ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 0, "model": "gpt-5.4-mini",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Done."}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
).encode()  # fmt: skip


TOKENS = 40
TOKEN_SECONDS = 0.5
"""Of a stream, after its first."""


async def _stream(writer: asyncio.StreamWriter, seconds: float) -> None:
    """Tokens at a steady pace, the first after `seconds`."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    await writer.drain()
    for number in range(TOKENS):
        await asyncio.sleep(TOKEN_SECONDS if number else seconds)
        writer.write(_chunk([{"index": 0, "delta": {"content": f" {number}"}, "finish_reason": None}], None))
        await writer.drain()
    usage = {"prompt_tokens": 3, "completion_tokens": TOKENS, "total_tokens": 3 + TOKENS}
    writer.write(_chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}], None) + _chunk([], usage))
    writer.write(b"data: [DONE]\n\n")
    await writer.drain()
    writer.close()


def _chunk(choices: list[Any], usage: dict[str, int] | None) -> bytes:
    chunk = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 0, "model": "gpt-5.4-mini",
             "choices": choices, "usage": usage}  # fmt: skip
    return f"data: {json.dumps(chunk)}\n\n".encode()


async def serve(port: int, seconds: float) -> None:
    """Answer until the process ends."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.partition(b":")[2])
                        for line in head.lower().split(b"\r\n")
                        if line[:15] == b"content-length:"
                    ),
                    0,
                )
                body = await reader.readexactly(length)
                if b'"stream":true' in body.replace(b" ", b""):
                    await _stream(writer, seconds)
                    return
                if head.startswith(b"POST"):
                    await asyncio.sleep(seconds)
                lines = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(_ANSWER)}\r\n\r\n"
                writer.write(lines.encode() + _ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))

"""OpenAI and Anthropic on loopback: they answer, stream, count what they served, and break where a test says so."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ("The", " harbour", " opens", " at", " six,", " and", " the", " ferry", " leaves", " at", " seven.")

SPENT = {
    "error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}
}
ERRORS: dict[str, tuple[int, dict[str, str], Any]] = {
    "429": (429, {}, {"error": {"message": "Slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}),
    "429-after": (429, {"retry-after": "7"}, {"error": {"message": "Slow down", "type": "rate_limit_error", "code": None}}),
    "529": (529, {}, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    "401": (401, {}, {"error": {"message": "Incorrect API key", "type": "authentication_error", "code": "invalid_api_key"}}),
    "spent": (429, {}, SPENT),
    "too-long": (400, {}, {"error": {"message": "maximum context length is 10", "type": "invalid_request_error",
                                     "code": "context_length_exceeded"}}),
    "no-model": (404, {}, {"error": {"message": "The model does not exist", "type": "not_found_error", "code": "model_not_found"}}),
}  # fmt: skip


@dataclass
class LlmDouble:
    """`script` holds what happens to the next requests, one word each: `ok`, `cut` (breaks off after three words), `hold` (waits
    for `released` after three words, or before it embeds), `vector:` and the JSON of what each text is embedded as, or one of
    `ERRORS`; then `ok`. `served` is its own count: input, cached and output tokens.
    """

    script: list[str] = field(default_factory=list)
    served: list[tuple[int, int, int]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    pause: float = 0.0
    held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def llm_double() -> Iterator[LlmDouble]:
    """A running double."""
    double = LlmDouble()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with double.lock:
                double.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                step = double.script.pop(0) if double.script else "ok"
            if step in ERRORS:
                status, headers, answer = ERRORS[step]
                self._json(status, answer, headers)
            elif self.path.endswith("/embeddings"):
                self._embed(body, step)
            else:
                _Conversation(self, double, body, step).answer()

        def _embed(self, body: Any, step: str) -> None:
            if step == "hold":
                double.held.set()
                double.released.wait(120)
            tokens = sum(len(text.split()) for text in body["input"])
            with double.lock:
                double.served.append((tokens, 0, 0))
            said = json.loads(step.removeprefix("vector:")) if step.startswith("vector:") else None
            data = [{"index": n, "embedding": said or [float(len(text)), 1.0]} for n, text in enumerate(body["input"])]
            answer = {"object": "list", "data": data[::-1], "model": body["model"]}
            self._json(200, {**answer, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}, {})

        def _json(self, status: int, answer: Any, headers: dict[str, str]) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {
                **headers,
                "content-type": "application/json",
                "content-length": str(len(content)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    double.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield double
    finally:
        double.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Conversation:
    """One completion in either format."""

    def __init__(self, handler: Any, double: LlmDouble, body: Any, step: str):
        self.handler, self.double, self.body, self.step = handler, double, body, step
        self.openai = "messages" in body and not handler.path.endswith("/messages")
        texts = [message["content"] for message in body["messages"]]
        self.input = sum(len(text.split()) for text in texts) + 10
        self.cached = 4

    def answer(self) -> None:
        if self.body.get("stream"):
            self._stream()
        else:
            self._count(len(WORDS))
            self.handler._json(200, self._whole(), {})

    def _count(self, output: int) -> None:
        with self.double.lock:
            self.double.served.append((self.input, self.cached, output))

    def _usage(self) -> dict[str, Any]:
        if self.openai:
            return {"prompt_tokens": self.input, "completion_tokens": len(WORDS), "total_tokens": self.input + len(WORDS),
                    "prompt_tokens_details": {"cached_tokens": self.cached}}  # fmt: skip
        return {"input_tokens": self.input - self.cached, "cache_read_input_tokens": self.cached,
                "cache_creation_input_tokens": 0, "output_tokens": len(WORDS)}  # fmt: skip

    def _whole(self) -> dict[str, Any]:
        text, model = "".join(WORDS), self.body["model"]
        if self.openai:
            message = {"role": "assistant", "content": text}
            return {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": model, "usage": self._usage(),
                    "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}  # fmt: skip
        return {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "usage": self._usage(),
                "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": None}  # fmt: skip

    def _stream(self) -> None:
        self.handler.send_response(200)
        self.handler.send_header("content-type", "text/event-stream")
        self.handler.send_header("connection", "close")
        self.handler.close_connection = True
        self.handler.end_headers()
        try:
            self._events()
        except OSError:
            return

    def _events(self) -> None:
        usage = self._usage()
        if not self.openai:
            message = {**self._whole(), "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
            self._send("message_start", {"type": "message_start", "message": message})
        for number, word in enumerate(WORDS):
            if number == 3 and self.step == "cut":
                self._count(3)
                return
            if number == 3 and self.step == "hold":
                self.double.held.set()
                self.double.released.wait(60)
            self._word(word)
            time.sleep(self.double.pause)
        self._count(len(WORDS))
        if self.openai:
            self._chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
            self._chunk([], usage)
            self._send(None, None)
            return
        delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": len(WORDS)}}
        self._send("message_delta", delta)
        self._send("message_stop", {"type": "message_stop"})

    def _word(self, word: str) -> None:
        if self.openai:
            self._chunk([{"index": 0, "delta": {"content": word}, "finish_reason": None}])
        else:
            delta = {"type": "text_delta", "text": word}
            self._send("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta})

    def _chunk(self, choices: list[Any], usage: Any = None) -> None:
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": self.body["model"]}
        self._send(None, {**chunk, "choices": choices, "usage": usage})

    def _send(self, name: str | None, data: Any) -> None:
        head = "" if name is None else f"event: {name}\n"
        self.handler.wfile.write(f"{head}data: {'[DONE]' if data is None else json.dumps(data)}\n\n".encode())
        self.handler.wfile.flush()

"""A server on loopback that answers as it was told, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

JOB_ID = "019ab5f0-6a3e-7c52-9f0e-3d0f6f3b8a11"


def job(state: str, done: int | None = None, **more: Any) -> dict[str, Any]:
    """A job as the API shows it."""
    progress = None if done is None else {"done": done, "total": 10, "message": "working"}
    return {"id": JOB_ID, "kind": "system.ping", "state": state, "progress": progress, "error": None, **more}


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply. With `hang_up` the connection closes without one."""

    status: int = 200
    body: Any = None
    events: tuple[tuple[int, dict[str, Any]], ...] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False

    def content(self) -> tuple[str, bytes]:
        if self.events is not None:
            lines = [f"id: {number}\nevent: job\ndata: {json.dumps(data)}\n\n" for number, data in self.events]
            return "text/event-stream", ("retry: 1000\n\n: heartbeat\n\n" + "".join(lines)).encode()
        return "application/problem+json" if self.status >= 400 else "application/json", json.dumps(self.body).encode()


@dataclass
class Script:
    """Answers in order, the last one again and again; and the requests that came."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def script() -> Iterator[Script]:
    """The server; give it `answers` before it is asked."""
    told = Script()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            told.requests.append((self.command, self.path, dict(self.headers)))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = told.next()
            if answer.hang_up:
                self.close_connection = True
                return
            kind, content = answer.content()
            self.send_response(answer.status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()
    thread.join()
    server.server_close()

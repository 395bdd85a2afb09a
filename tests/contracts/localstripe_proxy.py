"""localstripe, which is Stripe's API as others have understood it, in a process of its own behind what it lacks: idempotency.

localstripe takes no notice of `Idempotency-Key`. The proxy before it answers a key that it has seen with the first answer, and
refuses one that comes with another body, as Stripe does. `cut` has it hang up after so many answers that were given.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

from bench.engine import until
from cli.processes import free_port

_LAUNCH = """
import sys
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda self: None  # else it writes to a file that all of them share
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""
_CONFLICT = b'{"error": {"type": "idempotency_error", "message": "another body"}}'


@dataclass
class Proxy:
    """What went through, by key: the body and the answer. `forwarded` counts what localstripe was asked to do."""

    upstream: str
    url: str = ""
    cut: int = 0
    forwarded: list[str] = field(default_factory=list)
    answers: dict[str, tuple[bytes, int, bytes]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes] | None:
        """Status and body; None hangs up, after localstripe has acted."""
        key = headers.pop("Idempotency-Key", None) if method == "POST" else None
        with self.lock:
            if key in self.answers:
                first, status, known = self.answers[key]
                return (status, known) if first == body else (400, _CONFLICT)
            self.forwarded.append(f"{method} {path.partition('?')[0]}")
            told = httpx2.request(method, self.upstream + path, headers=headers, content=body, timeout=30)
            if key is not None:
                self.answers[key] = (body, told.status_code, told.content)
            if self.cut and method == "POST":
                self.cut -= 1
                return None
            return told.status_code, told.content


@contextmanager
def localstripe() -> Iterator[Proxy]:
    """A running localstripe and the proxy before it, both on loopback."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", _LAUNCH, str(port)], stdout=subprocess.DEVNULL)
    proxy = Proxy(f"http://127.0.0.1:{port}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        until(lambda: _answers(proxy.upstream), 120, "localstripe")
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code > 0
    except httpx2.TransportError:
        return False


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._forward(b"")

        def do_POST(self) -> None:
            self._forward(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def _forward(self, body: bytes) -> None:
            kept = ("Authorization", "Content-Type", "Idempotency-Key")
            headers = {name: self.headers[name] for name in kept if self.headers[name] is not None}
            answer = proxy.answer(self.command, self.path, headers, body)
            if answer is None:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    return Handler

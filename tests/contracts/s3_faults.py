"""S3 with faults: passes every request on to a real one, but for those that it is told to spoil."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Deed = Literal["answer", "cut request", "lose answer", "cut answer", "hold"]
"""Answer with an error; close in the middle of what comes; pass it on and close; close in the middle of what goes; pass on late."""

SLOW_DOWN = (503, "SlowDown")
INTERNAL_ERROR = (500, "InternalError")
_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "date", "server"})


@dataclass
class Fault:
    """Spoils the next `times` requests of which `method` and a part of the target, `within`, are these; every `nth` of them."""

    deed: Deed
    method: str = "PUT"
    within: str = ""
    times: int = 1
    nth: int = 1
    error: tuple[int, str] = INTERNAL_ERROR
    seen: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    passed_on: threading.Event = field(default_factory=threading.Event)

    def takes(self, method: str, target: str) -> bool:
        """Whether this request is one to spoil."""
        if self.times <= 0 or method != self.method or self.within not in target:
            return False
        self.seen += 1
        if self.seen % self.nth:
            return False
        self.times -= 1
        return True


@dataclass
class S3Faults:
    """`url` is the endpoint to use. `asked` has method and target of every request."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spoil(self, fault: Fault) -> Fault:
        """From now on."""
        with self.lock:
            self.faults.append(fault)
        return fault

    def chosen(self, method: str, target: str) -> Fault | None:
        """The fault for a request, if there is one."""
        with self.lock:
            self.asked.append((method, target))
            return next((fault for fault in self.faults if fault.takes(method, target)), None)


@contextmanager
def s3_faults(endpoint: str) -> Iterator[S3Faults]:
    """In front of the S3 at `endpoint`."""
    upstream = urlsplit(endpoint).netloc

    class Handler(_Handler):
        faults: S3Faults
        there = upstream

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.faults = S3Faults(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Handler.faults
    finally:
        for fault in Handler.faults.faults:
            fault.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: S3Faults
    there: str

    def _serve(self) -> None:
        fault = self.faults.chosen(self.command, self.path)
        deed, length = fault.deed if fault else None, int(self.headers.get("Content-Length") or 0)
        if deed == "cut request":
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        body = self.rfile.read(length)
        if fault and deed == "answer":
            status, code = fault.error
            self._answer(status, [("Content-Type", "application/xml")], f"<Error><Code>{code}</Code></Error>".encode())
            return
        if fault and deed == "hold":
            fault.reached.set()
            fault.released.wait()
        status, headers, content = self._passed_on(body)
        if fault:
            fault.passed_on.set()
        if deed == "lose answer":
            self.close_connection = True
            return
        self._answer(status, headers, content, cut=deed == "cut answer")

    def _passed_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.there, timeout=60)
        kept = {name: value for name, value in self.headers.items() if name.lower() not in {"expect", "connection"}}
        connection.request(self.command, self.path, body, kept)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return (
            response.status,
            [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP],
            content,
        )

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Tests tell by `asked`."""

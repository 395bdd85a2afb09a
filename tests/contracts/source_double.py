"""HTTP sources on loopback that answer, dawdle, hang, redirect and lie where a test says so."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Script:
    """What a path answers: after `delay` seconds; `drip` seconds pass between its bytes; `held` waits for the release."""

    answer: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    held: bool = False

    @property
    def content(self) -> bytes:
        return self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()


def hits(*names: str, **fields: Any) -> dict[str, Any]:
    """An answer with a hit for each name."""
    return {"hits": [{"id": name, "title": name.title(), "snippet": f"About {name}.", **fields} for name in names]}


@dataclass
class SourceDouble:
    """Sources by path, what they were asked, and how many at once."""

    url: str = ""
    scripts: dict[str, Script] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    holding: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    most_at_once: int = 0
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def source(self, name: str, answer: Any = None, **script: Any) -> str:
        """The address of a source with that script."""
        self.scripts[f"/{name}"] = Script(hits() if answer is None else answer, **script)
        return f"{self.url}/{name}"

    def questions(self, name: str) -> list[Any]:
        """What the source of that name was asked."""
        return [body for path, _, body in self.asked if path == f"/{name}"]

    def come(self, path: str, headers: dict[str, str], body: Any) -> Script:
        with self._lock:
            self.asked.append((path, headers, body))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        return self.scripts.get(path, Script({"error": "unknown"}, 404))

    def go(self) -> None:
        with self._lock:
            self._at_once -= 1


@contextmanager
def source_double() -> Iterator[SourceDouble]:
    """Running sources."""
    double = SourceDouble()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            script = double.come(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            try:
                if script.held:
                    double.holding.set()
                    double.released.wait(120)
                time.sleep(script.delay)
            finally:
                double.go()  # before the answer: who has read it may ask again at once
            try:
                self._answer(script)
            except OSError:
                self.close_connection = True  # who asked has gone

        def _answer(self, script: Script) -> None:
            content = script.content
            self.send_response(script.status)
            for name, value in {"content-length": str(len(content)), **script.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if not script.drip:
                self.wfile.write(content)
                return
            for byte in content:
                self.wfile.write(bytes([byte]))
                time.sleep(script.drip)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    double.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield double
    finally:
        double.released.set()
        server.shutdown()
        server.server_close()
        thread.join()

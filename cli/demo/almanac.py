"""A search source of the demo's own: a small HTTP server on this machine, registered for as long as the part lasts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cli.client import Client
from cli.demo.stage import Stage
from domain.destinations import parse_networks

NAME = "almanac"
ENTRY = {
    "id": "almanac-harbour",
    "title": "Harbour in the almanac",
    "snippet": "The «harbour» froze over in the winters of 1929 and 1963.",
    "url": "https://example.com/almanac/harbour",
}
NETWORKS = "NEXUS_SEARCH_PRIVATE_NETWORKS"
LOOPBACK = "127.0.0.0/8"


@contextmanager
def registered(stage: Stage, client: Client) -> Iterator[bool]:
    """Serve the almanac and register it; false where the platform lets no source stand on this machine."""
    if parse_networks(LOOPBACK)[0] not in parse_networks(stage.environment.get(NETWORKS, "")):
        yield False
        return
    for left in client.get("/api/v1/search/sources")["items"]:
        if left["name"] == NAME:  # of a run that was cut off
            client.send("DELETE", f"/api/v1/search/sources/{left['id']}")
    with _served() as url:
        body = {"name": NAME, "url": url, "weight": 0.5, "secret": "Bearer the-almanacs-own-secret"}
        source = client.post("/api/v1/search/sources", body)
        try:
            yield True
        finally:
            client.send("DELETE", f"/api/v1/search/sources/{source['id']}")


@contextmanager
def _served() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing is printed between the demo's lines."""

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found = [ENTRY] if "harbour" in asked["q"].lower() else []
            content = json.dumps({"hits": found}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="almanac", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/search"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

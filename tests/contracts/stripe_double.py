"""Stripe's wire format over HTTP, as far as billing speaks it, with its idempotency: the same key gets the first answer.

A double of our own, because localstripe takes no notice of `Idempotency-Key` and can neither hang up after acting nor answer
too late, which is what these tests are about. `script` holds what to do at the next charges: `succeed`, `decline`,
`process`, `act_then_hang_up` (the money has moved and nobody is told), `hang_up`, `401`, `500`. `refund_script` is the same for
refunds, which know `act_then_hang_up` and `refuse`.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class StripeDouble:
    """State of the account: what was made, in the order in which it was made."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {}
        self.keys: list[str] = []
        self.script: deque[str] = deque()
        self.refund_script: deque[str] = deque()
        self._lock = threading.Lock()
        self._number = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def made(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.objects.values() if each["object"] == kind]

    def succeeded(self) -> list[dict[str, Any]]:
        return [each for each in self.made("payment_intent") if each["status"] == "succeeded"]

    def make(self, prefix: str, kind: str, **fields: Any) -> dict[str, Any]:
        self._number += 1
        made = {"id": f"{prefix}_{self._number}", "object": kind, "livemode": False, **fields}
        self.objects[made["id"]] = made
        return made

    def happened(self, kind: str, of: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        event = {"id": f"evt_{self._number}", "object": "event", "type": kind, "data": {"object": dict(of)}}
        self.events.insert(0, event)
        return event

    def answer(
        self, method: str, path: str, sent: dict[str, Any], key: str | None
    ) -> tuple[int, dict[str, Any]] | None:
        """Status and body; None hangs up."""
        with self._lock:
            if key is not None and key in self.answers:
                return self.answers[key]
            if method == "POST" and path == "/v1/payment_intents":
                return self._charge(sent, key)
            if method == "POST" and path == "/v1/refunds":
                return self._refund(sent, key)
            found = self._act(method, path, sent)
            if key is not None:
                self.answers[key] = found
            return found

    def _charge(self, sent: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]] | None:
        step = self.script.popleft() if self.script else "succeed"
        if step == "hang_up":
            return None
        if step == "401":
            return 401, {"error": {"type": "invalid_request_error", "message": "no such key"}}
        if step == "500":
            return 500, {"error": {"type": "api_error", "message": "no"}}
        self.keys.append(key or "")
        status = {"decline": "requires_payment_method", "process": "processing"}.get(step, "succeeded")
        intent = self.make(
            "pi", "payment_intent", status=status, amount=int(sent["amount"]), amount_received=int(sent["amount"]),
            currency=sent["currency"], customer=sent["customer"], metadata=_nested(sent, "metadata"),
        )  # fmt: skip
        if step == "decline":
            self.happened("payment_intent.payment_failed", intent)
            error = {"type": "card_error", "code": "card_declined", "decline_code": "generic_decline",
                     "message": "no", "payment_intent": intent}  # fmt: skip
            answer: tuple[int, dict[str, Any]] = (402, {"error": error})
        else:
            if status == "succeeded":
                self.happened("payment_intent.succeeded", intent)
            answer = (200, intent)
        if key is not None:
            self.answers[key] = answer
        return None if step == "act_then_hang_up" else answer

    def _refund(self, sent: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]] | None:
        step = self.refund_script.popleft() if self.refund_script else "succeed"
        if step == "refuse":
            return 400, {"error": {"type": "invalid_request_error", "message": "no"}}
        made = self.make(
            "re", "refund", payment_intent=sent["payment_intent"], amount=int(sent["amount"]), status="succeeded",
            metadata=_nested(sent, "metadata"),
        )  # fmt: skip
        if key is not None:
            self.answers[key] = (200, made)
        return None if step == "act_then_hang_up" else (200, made)

    def _act(  # noqa: PLR0911 - one answer for each route
        self, method: str, path: str, sent: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        parts = path.removeprefix("/v1/").split("/")
        match (method, parts):
            case ("POST", ["customers"]):
                return 200, self.make("cus", "customer", name=sent["name"], metadata=_nested(sent, "metadata"))
            case ("POST", ["payment_methods", id, "attach"]):
                card = {"brand": "visa", "last4": "4242"}
                self.objects[id] = {"id": id, "object": "payment_method", "type": "card", "card": card}
                return 200, self.objects[id]
            case ("POST", ["payment_methods", id, "detach"]):
                return 200, {"id": id, "object": "payment_method", "type": "card"}
            case ("POST", ["setup_intents"]):
                return 200, self.make("seti", "setup_intent", client_secret="seti_secret", status="requires_action")
            case ("POST", ["billing_portal", "sessions"]):
                return 200, self.make("bps", "billing_portal.session", url=f"{self.url}/portal?to={sent['return_url']}")
            case ("GET", ["events"]):
                after = sent.get("starting_after")
                start = next((n + 1 for n, each in enumerate(self.events) if each["id"] == after), 0)
                page = self.events[start : start + 2]
                return 200, {"object": "list", "data": page, "has_more": start + 2 < len(self.events)}
            case ("GET", ["payment_intents"]):
                found = [each for each in self.made("payment_intent") if each["customer"] == sent.get("customer")]
                return 200, {"object": "list", "data": found, "has_more": False}
            case ("GET", ["refunds"]):
                given = [each for each in self.made("refund") if each["payment_intent"] == sent.get("payment_intent")]
                return 200, {"object": "list", "data": given, "has_more": False}
            case ("GET", [_, id]) if id in self.objects:
                return 200, self.objects[id]
        return 404, {"error": {"type": "invalid_request_error", "message": f"no {path}"}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._respond(dict(_flat(urlsplit(self.path).query)))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._respond(dict(_flat(body.decode())))

            def _respond(self, sent: dict[str, Any]) -> None:
                key = self.headers.get("Idempotency-Key") if self.command == "POST" else None
                answer = double.answer(self.command, urlsplit(self.path).path, sent, key)
                if answer is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                raw = json.dumps(answer[1]).encode()
                self.send_response(answer[0])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        return Handler


def _flat(text: str) -> list[tuple[str, str]]:
    return [(name, values[-1]) for name, values in parse_qs(text).items()]


def _nested(sent: dict[str, Any], name: str) -> dict[str, str]:
    return {key[len(name) + 1 : -1]: value for key, value in sent.items() if key.startswith(f"{name}[")}

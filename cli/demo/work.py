"""A message and a completion: single jobs through their queues."""

from __future__ import annotations

import json
import secrets

from cli.client import Client
from cli.demo.stage import PartFailed, Stage

SUBJECT = "The harbour opens at six"
TEXT = "Hello,\n\nthe harbour opens at six, and the ferry leaves at seven.\n\nNexus\n"
PROMPT = "Which word comes after lighthouse in a harbour guide?"


def notify(stage: Stage) -> str:
    """Send a message by email, into a file unless the platform has a mail server; then one from a template into a feed."""
    client = stage.as_tenant()
    body = {"channel": "email", "to": stage.state.email, "subject": SUBJECT, "text": TEXT, "category": "harbour"}
    job = client.post("/api/v1/notifications/send", body)
    stage.succeeded(client, job["id"])
    message = client.get(f"/api/v1/notifications/{job['id']}")
    if message["status"] != "sent":
        raise PartFailed(f"message {message['id']} is {message['status']} after its job succeeded")
    shown = _feed(stage, client)
    if message["provider"] != "file":
        return f"{shown}; sent to {message['to']} by {message['provider']}"
    path = stage.home / "outbox" / f"{message['id']}.eml"
    if not path.is_file():
        raise PartFailed(f"the message should be at {path}, and is not")
    return f"{shown}; sent to {message['to']}: {path}"


def _feed(stage: Stage, client: Client) -> str:
    """A person, a template in two languages, and a broadcast that the person finds in German in the feed."""
    person = f"demo-{secrets.token_hex(4)}"
    client.send(
        "PUT", f"/api/v1/notifications/recipients/{person}", body={"locale": "de", "attributes": {"run": person}}
    )
    key = f"ferry-{person}"
    variants = [
        {"channel": "in_app", "locale": "en", "subject": "Ferry", "text": "It leaves at {{ time }}."},
        {"channel": "in_app", "locale": "de", "subject": "Fähre", "text": "Sie fährt um {{ time }}."},
    ]
    client.post("/api/v1/notifications/templates", {"key": key, "variants": variants})
    cast = {
        "name": "Ferry", "channel": "in_app", "template": key, "data": {"time": "19:00"}, "category": "harbour",
        "audience": {"attributes": {"run": person}},
    }  # fmt: skip
    stage.succeeded(client, client.post("/api/v1/notifications/broadcast", cast)["id"])
    feed = f"/api/v1/notifications/recipients/{person}/feed"
    items = stage.until("the broadcast's message", lambda: client.get(feed)["items"] or None)
    if items[0]["subject"] != "Fähre":
        raise PartFailed(f"the feed should hold the German variant, and holds {items[0]['subject']!r}")
    rule = client.post("/api/v1/notifications/explain", {"recipient": person, "channel": "in_app"})["rule"]
    return f"broadcast in {person}'s feed by {rule}"


def complete(stage: Stage) -> str:
    """Ask a language model and read along while it answers; without a key the sandbox answers, and says so."""
    client = stage.as_tenant()
    body = {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 200, "stream": True}
    job = client.send("POST", "/api/v1/llm/completions", body=body, headers={"Prefer": "respond-async"}).body
    read = _read_along(stage, client, f"/api/v1/llm/completions/{job['id']}/events")
    answer = stage.succeeded(client, job["id"])
    if not answer["text"].strip():
        raise PartFailed(f"{answer['model']} answered nothing")
    if read != answer["text"]:
        raise PartFailed(f"the words of completion {job['id']} are not its answer")
    calls = client.get("/api/v1/llm/calls", job_id=job["id"])["items"]
    if [call["error_code"] for call in calls] != [None]:
        raise PartFailed(f"the call log has {len(calls)} calls of completion {job['id']}, or one that failed")
    tokens = answer["usage"]["input_tokens"] + answer["usage"]["output_tokens"]
    text = " ".join(answer["text"].split())
    return f"{answer['provider']}/{answer['model']} ({tokens} tokens): {text if len(text) < 90 else text[:89] + '…'}"


def _read_along(stage: Stage, client: Client, path: str) -> str:
    """The words as they come, until the answer is whole."""
    text = ""
    with client.events(path) as events:
        for event in events:
            if event.event == "restart":
                text = ""
            elif event.event == "text":
                text += json.loads(event.data)["text"]
                stage.tell(" ".join(text.split())[-60:])
            elif event.event == "error":
                raise PartFailed(f"the completion failed: {json.loads(event.data)['detail']}")
    return text

"""A message and a completion: single jobs through their queues."""

from __future__ import annotations

from cli.demo.stage import PartFailed, Stage

SUBJECT = "The harbour opens at six"
TEXT = "Hello,\n\nthe harbour opens at six, and the ferry leaves at seven.\n\nNexus\n"
PROMPT = "Which word comes after lighthouse in a harbour guide?"


def notify(stage: Stage) -> str:
    """Send a message by email: into a file, unless the platform has a mail server."""
    client = stage.as_tenant()
    body = {"channel": "email", "to": stage.state.email, "subject": SUBJECT, "text": TEXT}
    job = client.post("/api/v1/notifications/send", body)
    stage.succeeded(client, job["id"])
    message = client.get(f"/api/v1/notifications/{job['id']}")
    if message["status"] != "sent":
        raise PartFailed(f"message {message['id']} is {message['status']} after its job succeeded")
    if message["provider"] != "file":
        return f"sent to {message['to']} by {message['provider']}"
    path = stage.home / "outbox" / f"{message['id']}.eml"
    if not path.is_file():
        raise PartFailed(f"the message should be at {path}, and is not")
    return f"sent to {message['to']}: {path}"


def complete(stage: Stage) -> str:
    """Ask a language model; without a key the sandbox answers, and says so."""
    client = stage.as_tenant()
    body = {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 200}
    answer = stage.succeeded(client, client.post("/api/v1/llm/completions", body)["id"])
    if not answer["text"].strip():
        raise PartFailed(f"{answer['model']} answered nothing")
    tokens = answer["usage"]["input_tokens"] + answer["usage"]["output_tokens"]
    text = " ".join(answer["text"].split())
    return f"{answer['provider']}/{answer['model']} ({tokens} tokens): {text if len(text) < 90 else text[:89] + '…'}"

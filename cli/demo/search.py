"""Documents, and a search that asks documents, messages and an HTTP source at once."""

from __future__ import annotations

from cli.demo import almanac
from cli.demo.stage import PartFailed, Stage

QUERY = "harbour"
DOCUMENTS = {
    "guide": ("Harbour guide", "Where to moor in the harbour, whom to call, and when the bridge opens.", "english"),
    "tides": ("Tide tables", "High water at the harbour entrance follows the open coast by forty minutes.", "english"),
    "light": ("The lighthouse", "Built in 1871 on the north mole; its light is seen for eighteen miles.", "english"),
    "ferry": ("Ferry timetable", "The first ferry leaves at seven; on Sundays at eight.", "english"),
    "hafen": ("Hafenordnung", "Im Hafen gilt Schritttempo; der Hafenmeister weist Plätze zu.", "german"),
}
FOUND = ("demo-guide", "demo-tides")
"""The documents that the query must find, and with them a message: the one that was just sent."""


def federate(stage: Stage) -> str:
    """Put the documents and search."""
    client = stage.as_tenant()
    for name, (title, body, language) in DOCUMENTS.items():
        document = {"title": title, "body": body, "language": language, "url": f"https://example.com/{name}"}
        client.send("PUT", f"/api/v1/search/documents/demo-{name}", body=document)
    stage.tell(f"{len(DOCUMENTS)} documents stored, searching")
    with almanac.registered(stage, client) as reachable:
        answer = client.post("/api/v1/search", {"q": QUERY, "limit": 20, "timeout_ms": 10_000})
    asked = [
        source for source in answer["sources"] if source["status"] != "unauthorized"
    ]  # the demo's key reads no users
    late = [f"{source['name']} {source['status']}" for source in asked if source["status"] != "ok"]
    if answer["partial"] or late:
        raise PartFailed(f"the answer is partial: {', '.join(late)}")
    ids = {hit["id"] for hit in answer["hits"]}
    missing = [name for name in FOUND if name not in ids]
    if missing:
        raise PartFailed(f"{QUERY!r} did not find {', '.join(missing)}")
    if not any(hit["source"] == "messages" for hit in answer["hits"]):
        raise PartFailed(f"{QUERY!r} did not find the message")
    if reachable and almanac.ENTRY["id"] not in ids:
        raise PartFailed(f"{QUERY!r} did not find the almanac's entry")
    counts = ", ".join(f"{source['name']} {source['hits']} in {source['took_ms']} ms" for source in asked)
    return f"{len(answer['hits'])} hits for {QUERY!r} ({counts}); best: {answer['hits'][0]['title']}"

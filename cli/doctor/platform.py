"""The running platform: its API, and each part as the API sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2

from cli.doctor.findings import Finding, bad, good, odd

_ADVICE = {
    "platform_database": "docs/operations/database-down.md",
    "broker": "start the broker, or mend BROKER_URL; jobs stay queued meanwhile",
    "dispatcher": "docs/operations/no-leader.md",
    "storage": "mend S3_…, or NEXUS_HOME; jobs that read or write objects are retried",
    "no_workers": "docs/operations/queue-unserved.md",
    "no_claims": "docs/operations/queue-deaf.md",
}


def look(url: str) -> Iterator[Finding]:
    """What `/health/ready` at `url` says, part by part."""
    try:
        answer = httpx2.get(f"{url.rstrip('/')}/health/ready", timeout=5.0, trust_env=False)
        parts: dict[str, dict[str, Any]] = answer.json()["parts"]
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        yield bad("api", f"{url} does not answer as Nexus does ({type(error).__name__})", "docs/operations/down.md")
        return
    yield good("api", f"{url} is {'ready' if answer.status_code == 200 else 'not ready'}")
    for name, part in sorted(parts.items()):
        yield _part(name, part)


def _part(name: str, part: dict[str, Any]) -> Finding:
    age = "" if part["age_seconds"] is None else f", {part['age_seconds']:.1f} s ago"
    if part["state"] == "up":
        return (
            odd(name, "paused by an operator", "`nexus queues resume …` when the reason is gone")
            if part.get("paused")
            else good(name, f"up{age}")
        )
    detail = f"{part.get('problem', part['state'])}{age}"
    advice = _ADVICE.get(part.get("problem", name), "look into the logs of that part")
    return bad(name, detail, advice) if part["required"] else odd(name, detail, advice)

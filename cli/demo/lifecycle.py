"""What holds for every job: one that is scheduled can be cancelled, and submitting twice with one key is one job."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from cli.demo.stage import PartFailed, Stage


def live_and_die(stage: Stage) -> str:
    """Schedule and cancel a job; submit another twice."""
    client = stage.as_tenant()
    run_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    scheduled = client.post("/api/v1/jobs", {"kind": "system.ping", "payload": {}, "run_at": run_at})
    if scheduled["state"] != "scheduled":
        raise PartFailed(f"a job for in an hour is {scheduled['state']}")
    cancelled = client.post(f"/api/v1/jobs/{scheduled['id']}/cancel")
    if cancelled["state"] != "cancelled":
        raise PartFailed(f"a cancelled job is {cancelled['state']}")
    body, key = {"kind": "system.ping", "payload": {"message": "once"}}, f"demo-{secrets.token_hex(8)}"
    first, second = (client.post("/api/v1/jobs", body, idempotency_key=key) for _ in range(2))
    if first["id"] != second["id"]:
        raise PartFailed(f"one idempotency key made two jobs: {first['id']} and {second['id']}")
    answer = stage.succeeded(client, first["id"])
    if answer["message"] != "once":
        raise PartFailed(f"the ping answered {answer!r}")
    return f"{scheduled['id']} cancelled; {first['id']} submitted twice, ran once"

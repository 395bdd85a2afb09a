"""Many jobs at once, one that waits for them all, and a look at what they came to.

Run with NEXUS_URL and NEXUS_API_KEY set.
"""

from __future__ import annotations

import os
import uuid

from nexus_client import Client, Conflict, models


def main() -> None:
    """Submit ten jobs in one request, and a last one that begins when they have finished."""
    with Client(os.environ["NEXUS_URL"], os.environ["NEXUS_API_KEY"]) as nexus:
        items: list[models.JobBulkItem] = [
            {"kind": "system.ping", "payload": {"message": f"part {number}"}} for number in range(10)
        ]
        run = str(uuid.uuid4())  # keep it, and the whole program can be started again without doing anything twice
        results = nexus.jobs.submit_jobs({"items": items}, idempotency_key=run)["items"]
        parts = [result["job"]["id"] for result in results if result["job"] is not None]
        last = nexus.jobs.submit_job(
            {"kind": "system.ping", "payload": {"message": "all done"}, "after": parts}, idempotency_key=f"{run}-last"
        )
        print(nexus.result(last, seconds=60)["message"])
        done = {job["id"] for job in nexus.jobs.iterate_jobs(kind="system.ping", state="succeeded", limit=4)}
        print(len(done.intersection(parts)), "of", len(parts))

        schedule = nexus.schedules.create_schedule({"name": run, "kind": "system.ping", "cron": "@daily"})
        read = nexus.schedules.get_schedule(schedule["id"])
        changed: models.SchedulePut = {"name": run, "kind": "system.ping", "cron": "@weekly"}
        print(nexus.schedules.put_schedule(read["id"], changed, if_match=read)["cron"])
        try:
            nexus.schedules.create_schedule(changed)
        except Conflict as problem:
            print(problem.code)
        nexus.schedules.delete_schedule(read["id"])


if __name__ == "__main__":
    main()

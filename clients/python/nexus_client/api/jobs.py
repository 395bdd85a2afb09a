"""The API's `jobs`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.streams import Event, job_finished
from nexus_client.transport import Transport, segment


class Jobs:
    """The operations whose path begins with `jobs`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def submit_jobs(self, body: models.JobBulk, /, *, idempotency_key: str | None = None) -> models.JobBulkResultList:
        """Submit up to 1,000 jobs, with a result for each.

        Each item is accepted or refused by itself; the accepted ones are durable together. With an `Idempotency-Key`, items
        without one of their own are made by it and their place, so that the same request can be sent again.

        Needs the permission `job:create`.
        """
        answer: models.JobBulkResultList = self._transport.send("POST", "/api/v1/jobs/bulk", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def replay_jobs(self, body: models.JobReplay, /) -> models.JobReplayResult:
        """Replay the failed or cancelled jobs that a filter finds, or count them.

        A job that was replayed is not found again, so the same request can be sent until nothing is left. Kinds that the
        caller may not submit are left out.

        Needs the permission `job:replay`.
        """
        answer: models.JobReplayResult = self._transport.send("POST", "/api/v1/jobs/replay", body=body)
        return answer

    def list_children(self, job_id: str, /, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.JobChildren:
        """List a job's children, with how many are in each state.

        Needs the permission `job:read`.
        """
        answer: models.JobChildren = self._transport.send("GET", f"/api/v1/jobs/{segment(job_id)}/children", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_children(self, job_id: str, /, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Job]:
        """Every item of `list_children`, page after page."""
        return items(lambda cursor: self.list_children(job_id, limit=limit, sort=sort, cursor=cursor))

    def list_dependencies(self, job_id: str, /) -> models.JobDependencyList:
        """List the jobs that this one waits, or waited, for.

        Needs the permission `job:read`.
        """
        answer: models.JobDependencyList = self._transport.send("GET", f"/api/v1/jobs/{segment(job_id)}/dependencies")
        return answer

    def submit_job(self, body: models.JobCreate, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Submit a job.

        Beside `job:create`, the permission of the kind is needed. With an `Idempotency-Key`, a repeated submission answers
        with the first one's job. A `run_at` more than a minute ago is refused, unless it repeats such a submission.

        Needs the permission `job:create`.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/jobs", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_jobs(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None, state: Literal["scheduled", "queued", "running", "retrying", "succeeded", "failed", "cancelled"] | None = None, kind: str | None = None, queue: str | None = None, parent_id: str | None = None, created_at_gte: str | None = None, created_at_lte: str | None = None) -> models.JobPage:
        """List jobs.

        Needs the permission `job:read`.
        """
        answer: models.JobPage = self._transport.send("GET", "/api/v1/jobs", query={"limit": limit, "cursor": cursor, "sort": sort, "state": state, "kind": kind, "queue": queue, "parent_id": parent_id, "created_at[gte]": created_at_gte, "created_at[lte]": created_at_lte})
        return answer

    def iterate_jobs(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None, state: Literal["scheduled", "queued", "running", "retrying", "succeeded", "failed", "cancelled"] | None = None, kind: str | None = None, queue: str | None = None, parent_id: str | None = None, created_at_gte: str | None = None, created_at_lte: str | None = None) -> Iterator[models.Job]:
        """Every item of `list_jobs`, page after page."""
        return items(lambda cursor: self.list_jobs(limit=limit, sort=sort, state=state, kind=kind, queue=queue, parent_id=parent_id, created_at_gte=created_at_gte, created_at_lte=created_at_lte, cursor=cursor))

    def list_kinds(self) -> models.KindList:
        """List the kinds of job that can be submitted, each with the JSON Schema of its payload.

        Needs the permission `job:read`.
        """
        answer: models.KindList = self._transport.send("GET", "/api/v1/jobs/kinds")
        return answer

    def get_job(self, job_id: str, /, *, wait: int | None = None) -> models.Job:
        """Read a job, at once or when it has finished.

        Needs the permission `job:read`.
        """
        answer: models.Job = self._transport.send("GET", f"/api/v1/jobs/{segment(job_id)}", query={"wait": wait})
        return answer

    def follow_job(self, job_id: str, /) -> Iterator[Event]:
        """Follow a job by server-sent events.

        The id of an event is the job's version; with `Last-Event-ID`, only what is newer comes. A comment comes every 15
        seconds while nothing changes, and a stream ends after ten minutes: come again then.

        Needs the permission `job:read`.
        """
        return self._transport.stream(f"/api/v1/jobs/{segment(job_id)}/events", job_finished)

    def cancel_job(self, job_id: str, /) -> models.Job:
        """Cancel a job.

        A job that waits is cancelled at once. One that runs sees the request within seconds; `cancel_requested` is true
        until it has stopped.

        Needs the permission `job:cancel`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/jobs/{segment(job_id)}/cancel")
        return answer

    def replay_job(self, job_id: str, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Run a failed or cancelled job again, as a new job with the same payload.

        Needs the permission `job:replay`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/jobs/{segment(job_id)}/replay", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

"""The API's `schedules`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class Schedules:
    """The operations whose path begins with `schedules`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def create_schedule(self, body: models.SchedulePut, /, *, idempotency_key: str | None = None) -> models.ScheduleDetail:
        """Create a schedule.

        Beside `schedule:create`, the permission of the kind is needed. Its jobs run in the caller's name, and with what the
        caller may do then; once that is not enough, or the account or key is gone, the schedule rests and says so.

        Needs the permission `schedule:create`.
        """
        answer: models.ScheduleDetail = self._transport.send("POST", "/api/v1/schedules", body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_schedules(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.SchedulePage:
        """List the tenant's schedules.

        Needs the permission `schedule:read`.
        """
        answer: models.SchedulePage = self._transport.send("GET", "/api/v1/schedules", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_schedules(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Schedule]:
        """Every item of `list_schedules`, page after page."""
        return items(lambda cursor: self.list_schedules(limit=limit, sort=sort, cursor=cursor))

    def preview_schedule(self, body: models.SchedulePreview, /) -> models.FiringList:
        """Show when a cron expression would fire, without making a schedule.

        Needs the permission `schedule:read`.
        """
        answer: models.FiringList = self._transport.send("POST", "/api/v1/schedules/preview", body=body)
        return answer

    def get_schedule(self, schedule_id: str, /) -> models.ScheduleDetail:
        """Read a schedule, with its payload and its next firings.

        Needs the permission `schedule:read`.
        """
        answer: models.ScheduleDetail = self._transport.send("GET", f"/api/v1/schedules/{segment(schedule_id)}")
        return answer

    def put_schedule(self, schedule_id: str, body: models.SchedulePut, /, *, if_match: Mapping[str, Any] | str) -> models.ScheduleDetail:
        """Replace a schedule's definition. `If-Match` must carry the `ETag` that was read.

        Firings since then do not matter, edits do. Its jobs run in the caller's name from now on. A paused schedule stays
        paused; one that could not go on is set going again. With another rhythm, periods not yet fired are dropped.

        Needs the permission `schedule:update`.
        """
        answer: models.ScheduleDetail = self._transport.send("PUT", f"/api/v1/schedules/{segment(schedule_id)}", body=body, if_match=if_match)
        return answer

    def delete_schedule(self, schedule_id: str, /) -> None:
        """Delete a schedule.

        Needs the permission `schedule:delete`.
        """
        self._transport.send("DELETE", f"/api/v1/schedules/{segment(schedule_id)}")

    def pause_schedule(self, schedule_id: str, /) -> models.ScheduleDetail:
        """Let a schedule rest. Periods within the pause are not missed, so nothing makes up for them.

        Needs the permission `schedule:update`.
        """
        answer: models.ScheduleDetail = self._transport.send("POST", f"/api/v1/schedules/{segment(schedule_id)}/pause")
        return answer

    def resume_schedule(self, schedule_id: str, /) -> models.ScheduleDetail:
        """Set a resting schedule going again, in the caller's name. The kind's permission is needed.

        Needs the permission `schedule:update`.
        """
        answer: models.ScheduleDetail = self._transport.send("POST", f"/api/v1/schedules/{segment(schedule_id)}/resume")
        return answer

    def run_schedule(self, schedule_id: str, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Submit a schedule's job now, also while it rests. Its periods stay as they are.

        Needs the permission `schedule:run`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/schedules/{segment(schedule_id)}/run", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

"""`fleet.migrate` drives a wave over the tenants' databases; `fleet.drift` compares them with the template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from domain.errors import NotNow, Permanent
from domain.fleet.drift import Difference
from domain.fleet.stages import Failure, Stage, stage_at, stops
from jobs import waves
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.waves import Wave
from tenancy import drift, fleet
from tenancy.fleet import Place

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before a database is tried again whose locks were not to be had, or that was away."""

MOST_SHOWN = 200
"""Differences that a result holds; all are counted."""


@handles("fleet.migrate")
def migrate(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Migrate one database after another until none is behind, the wave is paused, or a failure stops it."""
    if payload["target"] != fleet.newest():
        raise NotNow("This worker runs another version of the code.", code="other_version", retry_after=10.0)
    wave = waves.held(context.tenancy.platform, payload["wave_id"], context.job_id)
    return {"state": "superseded"} if wave is None else _Drive(context, wave).run()


@handles("fleet.drift")
def compare(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Compare databases with the template of their revision; those that are behind are named, not compared."""
    found: list[dict[str, Any]] = []
    unread: list[dict[str, str]] = []
    behind: list[str] = []
    total = 0
    places = fleet.places(context.tenancy.platform, payload["tenant_ids"] or None)
    with drift.template(context.settings, context.job_id) as expected:
        for number, place in enumerate(places):
            context.progress(number, len(places), place.database)
            if place.version != fleet.newest():
                behind.append(str(place.tenant_id))
                continue
            differences = drift.differences_of(context.tenancy, place, expected)
            if isinstance(differences, Failure):
                unread.append(
                    {"tenant_id": str(place.tenant_id), "code": differences.code, "detail": differences.detail}
                )
                continue
            total += len(differences)
            found += [_shown(place, each) for each in differences[: MOST_SHOWN - len(found)]]
    return {
        "databases": len(places) - len(behind) - len(unread), "behind": behind, "unread": unread, "differences": total,
        "items": found,
    }  # fmt: skip


def _shown(place: Place, difference: Difference) -> dict[str, Any]:
    return {"tenant_id": str(place.tenant_id), "database": place.database, **asdict(difference)}


class _Drive:
    """One run of a wave. What is done stands in the catalog; what it holds itself may be lost."""

    def __init__(self, context: JobContext, wave: Wave):
        self._context = context
        self._tenancy = context.tenancy
        self._given_up: dict[UUID, Failure] = {}
        pending = self._pending(wave)
        self._wave = waves.begin(self._tenancy.platform, wave, len(pending))
        self._total = max(self._wave.databases or 0, len(pending))

    def run(self) -> Mapping[str, Any]:
        pending = self._pending(self._wave)
        while pending:
            done = self._total - len(pending)
            stage = stage_at(self._total, len(self._wave.canaries), done)
            for number, place in enumerate(pending[: stage.until - done]):
                if waves.held(self._tenancy.platform, self._wave.id, self._context.job_id) is None:
                    return self._said("paused")
                self._context.progress(done + number, self._total, f"{stage.name}: {place.database}")
                self._one(stage, place)
            pending = self._pending(self._wave)  # who was provisioned meanwhile has the new template
            self._total = max(self._total, len(pending))
        if self._given_up:
            self._stop(f"{len(self._given_up)} databases could not be reached")
        waves.end(self._tenancy.platform, self._wave, "finished")
        self._context.progress(self._total, self._total, "done")
        return self._said("finished")

    def _one(self, stage: Stage, place: Place) -> None:
        failure = self._tried(place)
        if failure is None:
            waves.mended(self._tenancy.platform, self._wave, place.tenant_id)
            self._context.log.info("fleet.migrated", stage=stage.name, database=place.database)
            return
        self._given_up[place.tenant_id] = failure
        told = {"code": failure.code, "detail": failure.detail}
        facts = {"tenant_id": place.tenant_id, "database": place.database, "stage": stage.name}
        waves.failed(self._tenancy.platform, self._wave, {**facts, **told})
        self._context.log.warning("fleet.migration_failed", stage=stage.name, database=place.database, **told)
        if stops(stage, failure, len(self._given_up)):
            self._stop(f"{stage.name}: tenant {place.tenant_id}: {failure.code}: {failure.detail}")

    def _tried(self, place: Place) -> Failure | None:
        failure = fleet.migrate(self._tenancy, place)
        for pause in PAUSES:
            if failure is None or not (failure.away or failure.code == "lock_timeout"):
                break
            self._context.wait(pause)
            failure = fleet.migrate(self._tenancy, place)
        return failure

    def _pending(self, wave: Wave) -> list[Place]:
        found = fleet.behind(self._tenancy.platform, wave.canaries)
        return [place for place in found if place.tenant_id not in self._given_up]

    def _stop(self, reason: str) -> None:
        waves.end(self._tenancy.platform, self._wave, "stopped", reason)
        raise Permanent(reason, code="wave_stopped")

    def _said(self, state: str) -> Mapping[str, Any]:
        return {"state": state, "wave_id": str(self._wave.id), "target": self._wave.target, "databases": self._total}

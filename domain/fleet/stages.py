"""How a wave of migrations spreads: a canary, cohorts that grow, then the rest. Pure, and needs no memory.

Where a wave stands follows from how many databases are done, so a wave that was killed, paused or stopped goes on in the
stage in which it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

COHORTS = (0.10, 0.40)
"""The share of all databases that is done after each cohort."""

MOST_UNREACHABLE = 10
"""Databases that may be away before a wave stops: then it is no single tenant's trouble any more."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a wave, which is over when `until` databases are done."""

    name: str
    until: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a database was not migrated. `away` means that it could not be reached, so nothing was tried."""

    code: str
    detail: str
    away: bool = False


def stages(databases: int, canaries: int) -> tuple[Stage, ...]:
    """The stages of a wave over so many databases, of which the first `canaries` are looked at before any other."""
    found = [Stage("canary", min(max(1, canaries), databases))]
    for number, share in enumerate(COHORTS, start=1):
        found.append(Stage(f"cohort {number}", max(found[-1].until, math.ceil(databases * share))))
    return (*found, Stage("rest", databases))


def stage_at(databases: int, canaries: int, done: int) -> Stage:
    """The stage that a wave is in once `done` databases are behind it, migrated or given up."""
    return next((stage for stage in stages(databases, canaries) if done < stage.until), Stage("rest", databases))


def stops(stage: Stage, failure: Failure, failures: int) -> bool:
    """Whether a wave stops for a failure, the `failures`th of its run.

    A migration that fails once will fail elsewhere. A database that is away says nothing of the migration, unless it is
    the canary, without which nobody knows.
    """
    return stage.name == "canary" or not failure.away or failures > MOST_UNREACHABLE

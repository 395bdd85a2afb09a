"""Jobs that wait for others: the leader looks who has finished, and releases or cancels those that waited.

Workers know nothing of it, so finishing a job costs the same with and without others waiting for it, and no crash can part
the two. A look costs one index probe for each unfinished dependency, `SLICE` at most; if there are more, the next look goes
on where this one ended. What a look finds out is counted down in the wait's own row, under its lock, so two leaders at once
count each dependency once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

import structlog

from domain.errors import DependencyFailed, NotFound, Transient
from domain.jobs.families import AfterPolicy, Verdict, verdict
from jobs.hints import hints
from jobs.kinds import RETENTION, retentions
from jobs.rows import HELD_UNTIL, PUBLIC_STATE, error_of, result_of, seal_json
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tenancy.vault import SealBroken

SLICE = 1_000
"""Dependencies that one look probes."""

DECIDED_LIMIT = 500
"""Waits that one look ends."""

_NONE = UUID(int=0)
_START: Mapping[str, UUID] = {"depends_on": _NONE, "job_id": _NONE}

_RESOLVE: LiteralString = """
WITH slice AS (
    SELECT job_id, depends_on FROM job_dependencies
     WHERE outcome IS NULL AND (depends_on, job_id) > (%(depends_on)s, %(job_id)s)
     ORDER BY depends_on, job_id LIMIT %(slice)s
), finished AS (
    SELECT s.job_id, s.depends_on, coalesce(j.state, 'expired') AS outcome
      FROM slice s LEFT JOIN LATERAL (SELECT state FROM jobs WHERE id = s.depends_on LIMIT 1) j ON true
     WHERE j.state IS NULL OR j.state IN ('succeeded', 'failed', 'cancelled')
), resolved AS (
    UPDATE job_dependencies d SET outcome = f.outcome FROM finished f
     WHERE d.job_id = f.job_id AND d.depends_on = f.depends_on AND d.outcome IS NULL
    RETURNING d.job_id, d.outcome
), counted AS (
    UPDATE job_waits w
       SET remaining = w.remaining - r.finished,
           unsuccessful = w.unsuccessful + CASE WHEN w.policy = 'all_succeeded' THEN r.unsuccessful ELSE 0 END
      FROM (SELECT job_id, count(*) AS finished, count(*) FILTER (WHERE outcome <> 'succeeded') AS unsuccessful
              FROM resolved GROUP BY job_id) r
     WHERE w.job_id = r.job_id
)
SELECT depends_on, job_id FROM slice ORDER BY depends_on, job_id OFFSET %(slice)s - 1
"""

_DECIDED: LiteralString = """
SELECT w.job_id, w.tenant_id, w.policy, w.remaining, w.unsuccessful,
       (SELECT d.depends_on FROM job_dependencies d
         WHERE d.job_id = w.job_id AND d.outcome <> 'succeeded' ORDER BY d.depends_on LIMIT 1) AS spoiled_by
  FROM job_waits w WHERE w.remaining = 0 OR w.unsuccessful > 0 ORDER BY w.job_id LIMIT %(limit)s
"""

_RELEASE: LiteralString = """
WITH released AS (DELETE FROM job_waits WHERE job_id = ANY(%(ids)s::uuid[]) RETURNING job_id, run_at)
UPDATE jobs j SET run_at = greatest(now(), r.run_at), version = version + 1
  FROM released r
 WHERE j.id = r.job_id AND j.state = 'scheduled' AND j.run_at = %(held)s
RETURNING j.id
"""

_CANCEL: LiteralString = f"""
WITH spoiled AS (
    DELETE FROM job_waits w USING unnest(%(ids)s::uuid[], %(errors)s::bytea[]) AS e (id, error)
     WHERE w.job_id = e.id RETURNING w.job_id, e.error
)
UPDATE jobs j
   SET state = 'cancelled', error_code = %(code)s, error_sealed = s.error, finished_at = now(), expires_at = now() + {RETENTION},
       version = version + 1
  FROM spoiled s
 WHERE j.id = s.job_id AND j.state = 'scheduled' AND j.run_at = %(held)s
RETURNING j.id
"""

_FORGET: LiteralString = """
WITH slice AS (SELECT DISTINCT job_id FROM (
    SELECT job_id FROM job_dependencies WHERE job_id > %(begin)s ORDER BY job_id LIMIT %(slice)s) d
), gone AS (
    DELETE FROM job_dependencies d USING slice s
     WHERE d.job_id = s.job_id AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = s.job_id)
)
SELECT job_id FROM slice ORDER BY job_id DESC LIMIT 1
"""

_OUTCOMES: LiteralString = f"""
SELECT d.depends_on AS id, j.tenant_id, j.result_sealed, j.error_sealed, j.error_code,
       coalesce(d.outcome, {PUBLIC_STATE}, 'expired') AS state
  FROM job_dependencies d LEFT JOIN jobs j ON j.id = d.depends_on AND j.tenant_id = d.tenant_id
 WHERE d.job_id = %(id)s AND d.tenant_id = %(tenant_id)s ORDER BY d.depends_on
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Dependency:
    """A job that another waits, or waited, for. `state` is `expired` for one whose retention is over."""

    job_id: UUID
    state: str
    result: Any = None
    error: Mapping[str, Any] | None = None


def dependencies(tenancy: Tenancy, tenant_id: UUID, job_id: UUID) -> list[Dependency]:
    """Whom the tenant's job waits or waited for, with what they came to, in the order of their submission."""
    rows = tenancy.platform.fetch(_OUTCOMES, {"id": job_id, "tenant_id": tenant_id}, tenant_scope(tenant_id))
    if not rows:
        return []
    vault = tenancy.vault(tenant_id)
    return [
        Dependency(row["id"], row["state"])
        if row["tenant_id"] is None
        else Dependency(row["id"], row["state"], result_of(row, vault), error_of(row, vault))
        for row in rows
    ]


@dataclass(slots=True)
class Waits:
    """The leader's view: where its looks go on. A new leader begins anew."""

    tenancy: Tenancy
    slice: int = SLICE
    _begin: Mapping[str, UUID] = field(default_factory=lambda: _START)
    _forget_from: UUID = _NONE

    def look(self) -> int:
        """Resolve what has finished and end the waits that are decided; returns how many jobs were released or cancelled."""
        looked, decided = self.tenancy.platform.fetch_many(
            [(_RESOLVE, {**self._begin, "slice": self.slice}), (_DECIDED, {"limit": DECIDED_LIMIT})]
        )
        self._begin = looked[0] if looked else _START  # a slice that was not full was the last one
        return self._end(decided) if decided else 0

    def forget(self) -> None:
        """Remove what is known of waits whose jobs are gone, a slice at a time."""
        parameters = {"begin": self._forget_from, "slice": self.slice}
        seen = self.tenancy.platform.fetch(_FORGET, parameters)
        self._forget_from = seen[0]["job_id"] if seen else _NONE

    def _end(self, decided: Sequence[Mapping[str, Any]]) -> int:
        verdicts = [verdict(AfterPolicy(row["policy"]), row["remaining"], row["unsuccessful"]) for row in decided]
        released = [row["job_id"] for row, each in zip(decided, verdicts, strict=True) if each is Verdict.RELEASE]
        spoiled = [row for row, each in zip(decided, verdicts, strict=True) if each is Verdict.CANCEL]
        cancel = {
            "ids": [row["job_id"] for row in spoiled],
            "errors": [self._error(row) for row in spoiled],
            "code": DependencyFailed.code,
            "held": HELD_UNTIL,
            **retentions(),
        }
        freed, ended = self.tenancy.platform.fetch_many(
            [(_RELEASE, {"ids": released, "held": HELD_UNTIL}), (_CANCEL, cancel)]
        )
        hints(self.tenancy.settings).changed(row["id"] for row in [*freed, *ended])
        log.info("jobs.waits_ended", released=len(freed), cancelled=len(ended))
        return len(freed) + len(ended)

    def _error(self, row: Mapping[str, Any]) -> bytes | None:
        """The sealed error; None where the tenant's keys cannot be had: the code tells then."""
        try:
            vault = self.tenancy.vault(row["tenant_id"])
        except (NotFound, SealBroken, Transient):
            return None
        described = {
            "code": DependencyFailed.code,
            "title": DependencyFailed.title,
            "detail": f"Job {row['spoiled_by']} did not succeed, so this one was cancelled without having run.",
            "retryable": False,
        }
        return seal_json(described, "error_sealed", row["job_id"], vault)

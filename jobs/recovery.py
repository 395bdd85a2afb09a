"""Submitting backups of the platform: by an operator, or by its own rhythm."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import LiteralString

from domain.errors import ServiceUnavailable, UniqueKeyTaken
from domain.identity.principals import system
from jobs.operators import operator_tenant
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tenancy.recovery.store import Store, moment_of

KIND, UNIQUE_KEY = "platform.backup", "platform"
RETRY_SECONDS = 3600.0
"""A backup that failed is tried again that much later."""

_RECENT: LiteralString = """
SELECT 1 FROM jobs WHERE kind = 'platform.backup' AND unique_key = 'platform'
   AND created_at > now() - make_interval(secs => %(seconds)s) LIMIT 1
"""


def submit_platform_backup(tenancy: Tenancy, now: datetime) -> int:
    """Submit a backup if the newest one is older than the setting says; returns how many were new."""
    seconds = tenancy.settings.platform_backup_hours * 3600
    if seconds <= 0 or tenancy.platform.fetch(_RECENT, {"seconds": min(seconds, RETRY_SECONDS)}):
        return 0
    newest = next(Store(tenancy.settings, tenancy.ring).newest_first(), None)
    if newest is not None and now - moment_of(newest) < timedelta(seconds=seconds):
        return 0
    try:
        who = system("beat", operator_tenant(tenancy.platform))
        return submit(tenancy, NewJob(KIND, {"requested_by": who.subject}, who, unique_key=UNIQUE_KEY)).created
    except (UniqueKeyTaken, ServiceUnavailable):
        return 0

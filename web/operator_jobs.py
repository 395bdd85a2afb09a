"""Submissions of what operators start, whichever tenant they have selected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.identity.principals import system
from jobs.operators import operator_tenant
from jobs.submit import NewJob
from web.context import tenancy
from web.jobs_response import new_job


def operator_job(kind: str, payload: Mapping[str, Any], **options: Any) -> NewJob:
    """As `new_job`, in the operator's tenant and in the platform's name: the payload says who asked.

    Raises `ServiceUnavailable` while there is no such tenant.
    """
    who = system("operator", operator_tenant(tenancy().platform))
    return replace(new_job(kind, payload, **options), principal=who)

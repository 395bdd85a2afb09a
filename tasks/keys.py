"""Rotation of keys: a tenant's data keys, and what the platform's master keys wrap."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from jobs.context import JobContext
from jobs.handlers import handles
from tenancy import rewrapping, rotation
from tenancy.identity import second_factors
from tenancy.life import archive_keys
from tenancy.resealing import Resealed, reseal, stale

_PASSES = 5
"""Others go on sealing under the older key for seconds after it was replaced; so many passes find an end in any case."""


@handles("tenant.rotate_keys")
def rotate_keys(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make a new data key, seal everything anew under it, and have the older ones destroyed after their grace."""
    context.confirm()
    version = rotation.add_version(context.tenancy, context.tenant_id, context.job_id)
    done = _reseal(context)
    destroy_at = rotation.retire_older(context.tenancy, context.tenant_id, version)
    context.submit("tenant.destroy_keys", {}, key="destroy", run_at=destroy_at)
    return {"version": version, **done, "destroy_at": destroy_at}


@handles("tenant.destroy_keys")
def destroy_keys(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Seal anew what was left behind, then destroy the data keys whose grace is over."""
    done = _reseal(context)
    context.confirm()
    return {"destroyed": rotation.destroy_retired(context.tenancy, context.tenant_id), **done}


@handles("system.rewrap_keys")
def rewrap_keys(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put every data key, second factor and archive's key under the active master key. Signing keys are the API's, which did its part before."""
    rewrapping.note_ring(context.tenancy.platform, context.tenancy.ring)
    found = rewrapping.rewrap(context.tenancy, lambda done, total: context.progress(done, total, "data keys"))
    second_factors.rewrap(context.tenancy.platform, context.tenancy.ring)
    archives, closed = archive_keys.rewrap(
        context.tenancy, lambda done, total: context.progress(done, total, "keys of archives")
    )
    return {
        "active": context.tenancy.ring.active_id, "rewrapped": found.keys, "archives": archives,
        "unreadable": found.unreadable + closed,
    }  # fmt: skip


def _reseal(context: JobContext) -> dict[str, int]:
    """Pass after pass until one finds nothing to do: how many values are new, and how many no key opens."""
    values, last = 0, Resealed()
    for _ in range(_PASSES):
        vault = context.tenancy.vault(context.tenant_id)
        last = reseal(context.tenancy, vault, partial(_tell, context, stale(context.tenancy, vault)))
        values += last.values
        if last.values == 0:
            break
    return {"resealed": values, "unreadable": last.unreadable}


def _tell(context: JobContext, total: int, done: int) -> None:
    context.progress(done, max(done, total), "sealing anew")

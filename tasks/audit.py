"""`audit.export` and `platform.audit_export`: a chain of changes into a bucket, in a form that is verified anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from domain.audit.entries import PLATFORM
from domain.audit.files import written
from domain.errors import Permanent
from jobs.context import JobContext
from jobs.handlers import handles
from tenancy.audit import exporting
from tenancy.life import archives
from tenancy.life.export import measured

_SEALING_SECONDS = 5.0
_LOOK_SECONDS = 0.25


@handles("audit.export")
def export_audit(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tenant's own chain."""
    context.tenancy.tell_audit(context.tenant_id)
    return _export(context, context.tenant_id)


@handles("platform.audit_export")
def export_platform_audit(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The chain of what belongs to no tenant, into the operator's bucket."""
    if not context.tenant.is_operator:
        raise Permanent("Only the operator's tenant may export the platform's audit.", code="not_an_operator")
    return _export(context, PLATFORM)


def _export(context: JobContext, chain: UUID) -> Mapping[str, Any]:
    """One file, named like the job; running again writes it again. What is noted by now is waited for until it is sealed."""
    platform = context.tenancy.platform
    for _ in range(round(_SEALING_SECONDS / _LOOK_SECONDS)):
        if not exporting.waiting(platform, chain):
            break
        context.wait(_LOOK_SECONDS)
    with archives.scratch(context.settings) as file:
        found = exporting.write(platform, chain, file, lambda done: context.progress(done, None, "entries"))
        size, sha256 = measured(file)
        bucket, key = context.bucket, exporting.key_of(context.job_id)
        archives.check_storage(platform, context.tenant_id, bucket, key, size)
        archives.put(platform, context.tenant_id, bucket, key, file, size, "application/x-ndjson")
    archives.sweep(bucket)
    return {
        "entries": found.entries, "after": written(found.first), "head": written(found.last), "bytes": size,
        "sha256": sha256,
    }  # fmt: skip

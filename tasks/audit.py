"""`audit.export`: the tenant's chain of changes into its bucket, in a form that is verified anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.audit.files import written
from jobs.context import JobContext
from jobs.handlers import handles
from tenancy.audit import exporting
from tenancy.life import archives
from tenancy.life.export import measured

_SEALING_SECONDS = 5.0
_LOOK_SECONDS = 0.25


@handles("audit.export")
def export_audit(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """One file, named like the job; running again writes it again. What is noted by now is waited for until it is sealed."""
    platform, tenant_id = context.tenancy.platform, context.tenant_id
    context.tenancy.tell_audit(tenant_id)
    for _ in range(round(_SEALING_SECONDS / _LOOK_SECONDS)):
        if not exporting.waiting(platform, tenant_id):
            break
        context.wait(_LOOK_SECONDS)
    with archives.scratch(context.settings) as file:
        found = exporting.write(platform, tenant_id, file, lambda done: context.progress(done, None, "entries"))
        size, sha256 = measured(file)
        archives.check_storage(platform, tenant_id, context.bucket, size)
        file.seek(0)
        key = exporting.key_of(context.job_id)
        context.bucket.put(key, file, "application/x-ndjson")  # type: ignore[arg-type]  # an IO[bytes] is one
    return {
        "entries": found.entries, "after": written(found.first), "head": written(found.last), "bytes": size,
        "sha256": sha256,
    }  # fmt: skip

"""The API's `tenants`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class Tenants:
    """The operations whose path begins with `tenants`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def verify_isolation(self, tenant_id: str, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Try this tenant's accounts, scope and keys on what belongs to others, and read its database's catalog for gaps.

        The report lists each check with what was tried, what was expected and what was found; `isolated` is false if any
        failed. It names no other tenant.

        Needs the permission `tenant:update`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/tenants/{segment(tenant_id)}/verify-isolation", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_archives(self, tenant_id: str, /, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.ArchivePage:
        """List a tenant's archives.

        Needs the permission `tenant:export`.
        """
        answer: models.ArchivePage = self._transport.send("GET", f"/api/v1/tenants/{segment(tenant_id)}/archives", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_archives(self, tenant_id: str, /, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Archive]:
        """Every item of `list_archives`, page after page."""
        return items(lambda cursor: self.list_archives(tenant_id, limit=limit, sort=sort, cursor=cursor))

    def upload_archive(self, tenant_id: str, body: bytes, /, *, idempotency_key: str | None = None) -> models.Archive:
        """Bring an archive that this platform made, to restore it here. Bringing it again answers as the first time.

        It must be of this tenant, or of one that the caller owned when it was made.

        Needs the permission `tenant:restore`.
        """
        answer: models.Archive = self._transport.send("POST", f"/api/v1/tenants/{segment(tenant_id)}/archives", content=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def get_archive(self, tenant_id: str, archive_id: str, /) -> models.Archive:
        """Read what an archive is.

        Needs the permission `tenant:export`.
        """
        answer: models.Archive = self._transport.send("GET", f"/api/v1/tenants/{segment(tenant_id)}/archives/{segment(archive_id)}")
        return answer

    def delete_archive(self, tenant_id: str, archive_id: str, /) -> None:
        """Remove an archive.

        Needs the permission `tenant:restore`.
        """
        self._transport.send("DELETE", f"/api/v1/tenants/{segment(tenant_id)}/archives/{segment(archive_id)}")

    def download_archive(self, tenant_id: str, archive_id: str, /) -> bytes:
        """Download an archive.

        Needs the permission `tenant:export`.
        """
        answer: bytes = self._transport.send("GET", f"/api/v1/tenants/{segment(tenant_id)}/archives/{segment(archive_id)}/content")
        return answer

    def suspend_tenant(self, tenant_id: str, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Suspend a tenant: its data is kept, nobody works in it, its jobs wait.

        Needs the permission `tenant:suspend`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/tenants/{segment(tenant_id)}/suspend", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def resume_suspended_tenant(self, tenant_id: str, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Resume a suspended tenant. One that a restore left half done is resumed by a restore that succeeds.

        Needs the permission `tenant:suspend`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/tenants/{segment(tenant_id)}/resume", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def export_tenant(self, tenant_id: str, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Write all of a tenant into one archive in its bucket, as of one moment, while it goes on.

        Needs the permission `tenant:export`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/tenants/{segment(tenant_id)}/export", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def back_up_tenant(self, tenant_id: str, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """As an export; backups that no rule keeps any more (30 days, 12 months, 7 years) are removed.

        Needs the permission `tenant:export`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/tenants/{segment(tenant_id)}/backup", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def restore_tenant(self, tenant_id: str, body: models.TenantRestore, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Replace a tenant's data by what an archive holds. Nobody gets in until all is back and verified.

        Needs the permission `tenant:restore`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/tenants/{segment(tenant_id)}/restore", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def change_tier(self, tenant_id: str, body: models.TenantChangeTier, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Move a pooled tenant into a database of its own. Meanwhile requests are refused and jobs wait.

        Needs the permission `tenant:update`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/tenants/{segment(tenant_id)}/change-tier", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def delete_tenant(self, tenant_id: str, /, *, wait: int | None = None) -> models.Job:
        """Close a tenant, to be erased when the grace is over. Until then `undelete` takes it back.

        Needs the permission `tenant:delete`.
        """
        answer: models.Job = self._transport.send("DELETE", f"/api/v1/tenants/{segment(tenant_id)}", query={"wait": wait})
        return answer

    def get(self, tenant_id: str, /) -> models.Tenant:
        """Read a tenant of the caller's, in any state.

        Needs the permission `tenant:read`.
        """
        answer: models.Tenant = self._transport.send("GET", f"/api/v1/tenants/{segment(tenant_id)}")
        return answer

    def update(self, tenant_id: str, body: models.TenantUpdate, /, *, if_match: Mapping[str, Any] | str) -> models.Tenant:
        """Rename a tenant. `If-Match` must carry the `ETag` that was read.

        Needs the permission `tenant:update`.
        """
        answer: models.Tenant = self._transport.send("PUT", f"/api/v1/tenants/{segment(tenant_id)}", body=body, if_match=if_match)
        return answer

    def undelete_tenant(self, tenant_id: str, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Take a deleted tenant back, as long as its erasure has not begun.

        Needs the permission `tenant:delete`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/tenants/{segment(tenant_id)}/undelete", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def get_settings(self, tenant_id: str, /) -> models.TenantSettings:
        """Read a tenant's settings.

        Needs the permission `tenant:read`.
        """
        answer: models.TenantSettings = self._transport.send("GET", f"/api/v1/tenants/{segment(tenant_id)}/settings")
        return answer

    def put_settings(self, tenant_id: str, body: models.TenantSettings, /, *, if_match: Mapping[str, Any] | str) -> models.TenantSettings:
        """Replace a tenant's settings. `If-Match` must carry the `ETag` that was read.

        Needs the permission `tenant:update`.
        """
        answer: models.TenantSettings = self._transport.send("PUT", f"/api/v1/tenants/{segment(tenant_id)}/settings", body=body, if_match=if_match)
        return answer

    def get_quotas(self, tenant_id: str, /) -> models.Quotas:
        """Read a tenant's quotas and what is used of them.

        Needs the permission `tenant:read`.
        """
        answer: models.Quotas = self._transport.send("GET", f"/api/v1/tenants/{segment(tenant_id)}/quotas")
        return answer

    def create(self, body: models.TenantCreate, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.TenantJob:
        """Create a tenant that the caller owns.

        Answers with the job that provisions it. Until that has succeeded, the tenant can be read, and the job with the
        tenant selected; anything else answers `tenant_unavailable`.
        """
        answer: models.TenantJob = self._transport.send("POST", "/api/v1/tenants", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_tenants(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.TenantPage:
        """List the caller's tenants. Operators see all of them, an API key its own."""
        answer: models.TenantPage = self._transport.send("GET", "/api/v1/tenants", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_tenants(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Tenant]:
        """Every item of `list_tenants`, page after page."""
        return items(lambda cursor: self.list_tenants(limit=limit, sort=sort, cursor=cursor))

    def rotate_keys(self, tenant_id: str, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Give the tenant a new data key and seal everything anew under it, while everybody goes on working.

        The older key is destroyed by a job of its own a day later, when nothing can stand under it any more; the result says when.
        One rotation at a time: a second one is answered with `unique_key_taken`.

        Needs the permission `tenant:update`.
        """
        answer: models.Job = self._transport.send("POST", f"/api/v1/tenants/{segment(tenant_id)}/rotate-keys", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

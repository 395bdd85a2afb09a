"""The API's `admin`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class Admin:
    """The operations whose path begins with `admin`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def get_activity(self) -> models.Activity:
        """Tell whose jobs run, which providers are asked, and what fails."""
        answer: models.Activity = self._transport.send("GET", "/api/v1/admin/activity")
        return answer

    def list_backups(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.BackupPage:
        """List the backups in the operator's bucket that are whole."""
        answer: models.BackupPage = self._transport.send("GET", "/api/v1/admin/backups", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_backups(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Backup]:
        """Every item of `list_backups`, page after page."""
        return items(lambda cursor: self.list_backups(limit=limit, sort=sort, cursor=cursor))

    def create_backup(self, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Back up the platform's database and every tenant's, then remove backups that no rule keeps.

        One at a time: a second one is answered with `unique_key_taken`. The job's id is the backup's.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/admin/backups", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def get_fleet(self) -> models.Fleet:
        """Show how many databases are at which revision, and the latest wave. No tenant's database is asked for it."""
        answer: models.Fleet = self._transport.send("GET", "/api/v1/admin/fleet")
        return answer

    def migrate_fleet(self, body: models.WaveCreate | None = None, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Start a wave: the canaries first, then cohorts that grow, then the rest.

        A canary that fails, or a migration that fails in any database, stops the wave with a reason. One wave at a time: a second one
        is answered with `conflict`.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/admin/fleet/migrate", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def pause_fleet(self) -> models.Wave:
        """Let the wave end after the database that it is at."""
        answer: models.Wave = self._transport.send("POST", "/api/v1/admin/fleet/pause")
        return answer

    def resume_fleet(self) -> models.Wave:
        """Let a wave go on that was paused, was stopped by a failure, or lost its job. One that runs is left alone."""
        answer: models.Wave = self._transport.send("POST", "/api/v1/admin/fleet/resume")
        return answer

    def compare_fleet(self, body: models.DriftCreate | None = None, /, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Compare tenants' databases with the template: tables, columns, constraints, policies and grants that differ."""
        answer: models.Job = self._transport.send("POST", "/api/v1/admin/fleet/drift", query={"wait": wait}, body=body, keyed=True, idempotency_key=idempotency_key)
        return answer

    def verify_all_isolation(self, *, wait: int | None = None, idempotency_key: str | None = None) -> models.TenantJob:
        """Do the same for every active tenant and for the platform database.

        Read the job with `tenant_id` selected. Of tenants the report lists the checks that failed.
        """
        answer: models.TenantJob = self._transport.send("POST", "/api/v1/admin/verify-isolation", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_keys(self) -> models.MasterKeyList:
        """List the master keys by id, with what still stands under each, and whether it may leave the ring."""
        answer: models.MasterKeyList = self._transport.send("GET", "/api/v1/admin/keys")
        return answer

    def rewrap(self, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Put every signing key, and by a job every tenant's data key, under the active master key.

        First every process must have the active key in its ring: add it at the end of `NEXUS_MASTER_KEYS`, restart, then move
        it to the front and restart again.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/admin/keys/rewrap", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def list_kind_states(self) -> models.KindStateList:
        """List the kinds: how long they take, how many ran and failed, how fast they go."""
        answer: models.KindStateList = self._transport.send("GET", "/api/v1/admin/kinds")
        return answer

    def pause_kind(self, name: str, body: models.PauseCreate | None = None, /) -> models.Pause:
        """Stop dispatching jobs of a kind. Those that are dispatched or running go on; pausing again changes nothing."""
        answer: models.Pause = self._transport.send("POST", f"/api/v1/admin/kinds/{segment(name)}/pause", body=body)
        return answer

    def drain_kind(self, name: str, body: models.PauseCreate | None = None, /) -> models.Pause:
        """Pause a kind in order to see none of it run: read `/admin/pauses` until it is `drained`."""
        answer: models.Pause = self._transport.send("POST", f"/api/v1/admin/kinds/{segment(name)}/drain", body=body)
        return answer

    def resume_kind(self, name: str, /) -> None:
        """Dispatch jobs of a kind again."""
        self._transport.send("POST", f"/api/v1/admin/kinds/{segment(name)}/resume")

    def get_limits(self, tenant: str, /) -> models.Limits:
        """Read a tenant's limits."""
        answer: models.Limits = self._transport.send("GET", f"/api/v1/admin/tenants/{segment(tenant)}/limits")
        return answer

    def put_limits(self, tenant: str, body: models.LimitsUpdate, /, *, if_match: Mapping[str, Any] | str) -> models.Limits:
        """Set a tenant's limits, all of them. `If-Match` must carry the `ETag` that was read."""
        answer: models.Limits = self._transport.send("PUT", f"/api/v1/admin/tenants/{segment(tenant)}/limits", body=body, if_match=if_match)
        return answer

    def pause_tenant(self, tenant: str, body: models.PauseCreate | None = None, /) -> models.Pause:
        """Stop dispatching a tenant's jobs. Those that are dispatched or running go on; pausing again changes nothing."""
        answer: models.Pause = self._transport.send("POST", f"/api/v1/admin/tenants/{segment(tenant)}/pause", body=body)
        return answer

    def drain_tenant(self, tenant: str, body: models.PauseCreate | None = None, /) -> models.Pause:
        """Pause a tenant in order to see none of its jobs run: read `/admin/pauses` until it is `drained`."""
        answer: models.Pause = self._transport.send("POST", f"/api/v1/admin/tenants/{segment(tenant)}/drain", body=body)
        return answer

    def resume_tenant(self, tenant: str, /) -> None:
        """Dispatch a tenant's jobs again."""
        self._transport.send("POST", f"/api/v1/admin/tenants/{segment(tenant)}/resume")

    def list_pauses(self) -> models.PauseList:
        """List what is paused, with what of it is still in flight."""
        answer: models.PauseList = self._transport.send("GET", "/api/v1/admin/pauses")
        return answer

    def list_platform_audit_entries(self, *, actor: str | None = None, action: str | None = None, resource: str | None = None, occurred_at_gte: str | None = None, occurred_at_lte: str | None = None, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.AuditEntryPage:
        """List logins, also failed ones, changes of accounts, and what operators did."""
        answer: models.AuditEntryPage = self._transport.send("GET", "/api/v1/admin/audit", query={"actor": actor, "action": action, "resource": resource, "occurred_at[gte]": occurred_at_gte, "occurred_at[lte]": occurred_at_lte, "limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_platform_audit_entries(self, *, actor: str | None = None, action: str | None = None, resource: str | None = None, occurred_at_gte: str | None = None, occurred_at_lte: str | None = None, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.AuditEntry]:
        """Every item of `list_platform_audit_entries`, page after page."""
        return items(lambda cursor: self.list_platform_audit_entries(actor=actor, action=action, resource=resource, occurred_at_gte=occurred_at_gte, occurred_at_lte=occurred_at_lte, limit=limit, sort=sort, cursor=cursor))

    def verify_platform_audit(self, *, after: int | None = None, limit: int | None = None, head: str | None = None) -> models.AuditVerdict:
        """Hold a piece of the platform's chain to its hashes. Go on with `next` as `after` until it is null."""
        answer: models.AuditVerdict = self._transport.send("GET", "/api/v1/admin/audit/verify", query={"after": after, "limit": limit, "head": head})
        return answer

    def export_platform_audit(self, *, actor: str | None = None, action: str | None = None, resource: str | None = None, occurred_at_gte: str | None = None, occurred_at_lte: str | None = None, format: Literal["ndjson", "csv"] | None = None) -> bytes:
        """Download the platform's audit, the oldest first."""
        answer: bytes = self._transport.send("GET", "/api/v1/admin/audit/export", query={"actor": actor, "action": action, "resource": resource, "occurred_at[gte]": occurred_at_gte, "occurred_at[lte]": occurred_at_lte, "format": format})
        return answer

    def create_platform_audit_export(self, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Write the platform's whole chain into a file in the operator's bucket.

        `nexus audit verify FILE` verifies it without the platform. Note the `head` of the result elsewhere.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/admin/audit/exports", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def download_platform_audit_export(self, export_id: str, /) -> bytes:
        """Download what a job has written. `conflict` while it has not finished."""
        answer: bytes = self._transport.send("GET", f"/api/v1/admin/audit/exports/{segment(export_id)}")
        return answer

    def list_queues(self) -> models.QueueList:
        """List the queues: what waits, since when, how fast it goes, and who works."""
        answer: models.QueueList = self._transport.send("GET", "/api/v1/admin/queues")
        return answer

    def pause_queue(self, name: str, body: models.PauseCreate | None = None, /) -> models.Pause:
        """Stop dispatching a queue's jobs. Those that are dispatched or running go on; pausing again changes nothing."""
        answer: models.Pause = self._transport.send("POST", f"/api/v1/admin/queues/{segment(name)}/pause", body=body)
        return answer

    def drain_queue(self, name: str, body: models.PauseCreate | None = None, /) -> models.Pause:
        """Pause a queue in order to see it empty: read `/admin/pauses` until it is `drained`."""
        answer: models.Pause = self._transport.send("POST", f"/api/v1/admin/queues/{segment(name)}/drain", body=body)
        return answer

    def resume_queue(self, name: str, /) -> None:
        """Dispatch a queue's jobs again."""
        self._transport.send("POST", f"/api/v1/admin/queues/{segment(name)}/resume")

    def list_signing_keys(self) -> models.SigningKeyList:
        """List the keys that verify, newest first."""
        answer: models.SigningKeyList = self._transport.send("GET", "/api/v1/admin/signing-keys")
        return answer

    def rotate_signing_keys(self) -> models.SigningKeyList:
        """Make a new key. It is shown at once, signs in three minutes, and no token that is out stops working.

        The key before verifies until the last token that it signed has expired. While a key is shown that does not sign yet, no
        other is made.
        """
        answer: models.SigningKeyList = self._transport.send("POST", "/api/v1/admin/signing-keys/rotate")
        return answer

    def retire_signing_key(self, key_id: str, /) -> models.SigningKeyList:
        """Retire a key that got into the wrong hands: within a minute its tokens are refused everywhere.

        Clients get new tokens with their refresh tokens. If it was the one that signs, another takes over at once.
        """
        answer: models.SigningKeyList = self._transport.send("DELETE", f"/api/v1/admin/signing-keys/{segment(key_id)}")
        return answer

    def get_tenant_quotas(self, tenant: str, /) -> models.QuotasUpdate:
        """Read a tenant's quotas."""
        answer: models.QuotasUpdate = self._transport.send("GET", f"/api/v1/admin/tenants/{segment(tenant)}/quotas")
        return answer

    def put_tenant_quotas(self, tenant: str, body: models.QuotasUpdate, /, *, if_match: Mapping[str, Any] | str) -> models.QuotasUpdate:
        """Set a tenant's quotas, all of them. `If-Match` must carry the `ETag` that was read."""
        answer: models.QuotasUpdate = self._transport.send("PUT", f"/api/v1/admin/tenants/{segment(tenant)}/quotas", body=body, if_match=if_match)
        return answer

    def list_certificates(self, *, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.CertificatePage:
        """List the certificates of erased tenants."""
        answer: models.CertificatePage = self._transport.send("GET", "/api/v1/admin/erasure-certificates", query={"limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_certificates(self, *, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.Certificate]:
        """Every item of `list_certificates`, page after page."""
        return items(lambda cursor: self.list_certificates(limit=limit, sort=sort, cursor=cursor))

    def get_certificate(self, certificate_id: str, /) -> models.Certificate:
        """Read the certificate of an erased tenant."""
        answer: models.Certificate = self._transport.send("GET", f"/api/v1/admin/erasure-certificates/{segment(certificate_id)}")
        return answer

    def list_workers(self) -> models.WorkerList:
        """List the workers with what they run."""
        answer: models.WorkerList = self._transport.send("GET", "/api/v1/admin/workers")
        return answer

"""A tenant's webhook endpoints: made, changed, given a new secret, disabled."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bus.events import publish
from domain.errors import Conflict, NotFound
from domain.webhooks.delivery import SECRET_OVERLAP
from domain.webhooks.signatures import new_secret
from models.platform import WebhookEndpoint
from tenancy.vault import Vault

MOST = 50
"""Endpoints of one tenant: each event is matched with all of them."""

BY_REQUEST, GONE, FAILING = "by_request", "gone", "failing"
"""Why an endpoint is disabled: its tenant said so, its receiver answered 410, or nothing was delivered for days."""


def create(
    session: Session, vault: Vault, endpoint_id: UUID, values: Mapping[str, Any], *, enabled: bool, created_by: str
) -> tuple[WebhookEndpoint, str]:
    """Insert the endpoint with a fresh secret; returns it and the secret, which cannot be read again.

    A request that is repeated after a crash finds the row: its first secret reached nobody, so a new one replaces it. Raises
    `Conflict` if the tenant has `MOST`.
    """
    endpoint = session.get(WebhookEndpoint, endpoint_id, with_for_update=True)
    secret = new_secret()
    if endpoint is None:
        present = select(func.count()).where(WebhookEndpoint.tenant_id == vault.tenant_id)
        if (session.scalar(present) or 0) >= MOST:
            raise Conflict(f"A tenant has at most {MOST} webhook endpoints; delete one first.")
        endpoint = WebhookEndpoint(
            id=endpoint_id, tenant_id=vault.tenant_id, secret_sealed=b"", created_by=created_by, **values
        )
        session.add(endpoint)
    endpoint.secret_sealed = _sealed(vault, endpoint_id, "secret_sealed", secret)
    set_enabled(endpoint, enabled=enabled)
    session.flush()
    session.refresh(endpoint)
    return endpoint, secret


def find(session: Session, tenant_id: UUID, endpoint_id: UUID, *, lock: bool = False) -> WebhookEndpoint:
    """The tenant's endpoint. Raises `NotFound`, also for another tenant's."""
    found = session.get(WebhookEndpoint, endpoint_id, with_for_update=lock)
    if found is None or found.tenant_id != tenant_id:
        raise NotFound(f"There is no webhook endpoint {endpoint_id}.")
    return found


def set_enabled(endpoint: WebhookEndpoint, *, enabled: bool) -> None:
    """Disable at the tenant's wish, or enable again; then earlier failures no longer count."""
    if enabled:
        endpoint.disabled_at = endpoint.disabled_reason = endpoint.failing_since = None
    elif endpoint.disabled_at is None:
        endpoint.disabled_at, endpoint.disabled_reason = func.now(), BY_REQUEST


def rotate_secret(endpoint: WebhookEndpoint, vault: Vault, now: datetime) -> str:
    """Give the endpoint a fresh secret and return it. The one before signs beside it for `SECRET_OVERLAP`."""
    secret = new_secret()
    replaced = _opened(vault, endpoint, "secret_sealed")
    endpoint.previous_secret_sealed = _sealed(vault, endpoint.id, "previous_secret_sealed", replaced)
    endpoint.previous_secret_until = now + SECRET_OVERLAP
    endpoint.secret_sealed = _sealed(vault, endpoint.id, "secret_sealed", secret)
    endpoint.version += 1
    return secret


def secrets(endpoint: WebhookEndpoint, vault: Vault, now: datetime) -> list[str]:
    """The secrets that sign at `now`, the newest first."""
    live = [_opened(vault, endpoint, "secret_sealed")]
    if endpoint.previous_secret_until is not None and endpoint.previous_secret_until > now:
        live.append(_opened(vault, endpoint, "previous_secret_sealed"))
    return live


def disable(session: Session, vault: Vault, endpoint: WebhookEndpoint, reason: str) -> None:
    """Send nothing more there, and publish that, in the caller's transaction. Disabling twice is disabling once."""
    if endpoint.disabled_at is not None:
        return
    endpoint.disabled_at, endpoint.disabled_reason = func.now(), reason
    endpoint.version += 1
    payload = {"webhook_endpoint": {"id": str(endpoint.id), "url": endpoint.url, "reason": reason}}
    publish(session, vault, "webhook_endpoint.disabled", payload)


def _sealed(vault: Vault, endpoint_id: UUID, column: str, secret: str) -> bytes:
    return vault.seal(secret.encode(), "webhook_endpoints", column, endpoint_id)


def _opened(vault: Vault, endpoint: WebhookEndpoint, column: str) -> str:
    return vault.open(bytes(getattr(endpoint, column)), "webhook_endpoints", column, endpoint.id).decode()

"""The demo's user, tenant and API key: made by the first run, found again by the next."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from cli.demo.stage import PartFailed, Stage
from cli.errors import Problem

TENANT_NAME = "Demo"
SCOPES = (
    "job:create", "job:read", "job:cancel", "notification:create", "notification:read", "notification:update",
    "notification_template:create", "notification_template:read", "completion:create",
    "completion:read", "search:create", "search:read", "search_source:create", "search_source:read",
    "search_source:delete", "document:create", "document:read", "plan:create", "plan:read",
    "customer:create", "customer:read", "subscription:create", "subscription:read", "invoice:read",
    "meter:create", "meter:read", "usage_event:create", "payment_method:create",
)  # fmt: skip
"""What the demo's key may do: what the demo does."""


def sign_in(stage: Stage) -> str:
    """Register the demo's user, unless an earlier run did, and log in."""
    state = stage.state
    state.save()  # the password first: an account whose password is lost is of no use
    try:
        stage.access_token = stage.log_in(state.email, state.password)
    except Problem as problem:
        if problem.code != "invalid_credentials":
            raise
        _register(stage)
        stage.access_token = stage.log_in(state.email, state.password)
        return f"registered {state.email}, logged in"
    return f"logged in as {state.email}"


def provision(stage: Stage) -> str:
    """A tenant with a database and a bucket of its own, and an API key for it."""
    state = stage.state
    tenant = _known_tenant(stage)
    verb = "found" if tenant is not None else "provisioned"
    if tenant is None:
        tenant = _create_tenant(stage)
    with_tenant = stage.as_user(tenant["id"])
    if not _key_works(stage, tenant["id"]):
        key = with_tenant.post("/api/v1/api-keys", {"name": "nexus demo", "scopes": list(SCOPES)})
        state.api_key = key["key"]
        state.save()
    return f"{verb} tenant {tenant['name']} ({tenant['tier']}) {tenant['id']}"


def _register(stage: Stage) -> None:
    state = stage.state
    body = {"email": state.email, "password": state.password, "name": "Demo"}
    try:
        stage.anonymous().post("/api/v1/auth/register", body)
    except Problem as problem:
        if problem.code != "email_taken":
            raise
        # The account is there and its password is not ours: demo.json was removed. A new one stands in for it.
        state.email = f"demo-{secrets.token_hex(4)}@example.com"
        state.save()
        stage.anonymous().post("/api/v1/auth/register", {**body, "email": state.email})


def _known_tenant(stage: Stage) -> Mapping[str, Any] | None:
    """The earlier run's tenant once it is active; None if there is none that can be used."""
    tenant_id = stage.state.tenant_id
    if tenant_id is None:
        return None
    user = stage.as_user()

    def settled() -> Mapping[str, Any] | None:
        tenant: Mapping[str, Any] = user.get(f"/api/v1/tenants/{tenant_id}")
        stage.tell(f"tenant is {tenant['state']}")
        return None if tenant["state"] == "provisioning" else tenant

    try:
        tenant = stage.until("the tenant", settled)
    except Problem as problem:
        if problem.status != 404:
            raise
        tenant = {"state": "gone"}
    if tenant["state"] == "active":
        return tenant
    _forget_tenant(stage)
    return None


def _forget_tenant(stage: Stage) -> None:
    stage.state.tenant_id = stage.state.api_key = None
    stage.state.tenant_key = f"demo-{secrets.token_hex(8)}"
    stage.state.save()


def _create_tenant(stage: Stage) -> Mapping[str, Any]:
    """Create the tenant and follow the job that provisions it. The key makes a run that was cut off find its own."""
    body = {"name": TENANT_NAME, "tier": "dedicated"}
    job = stage.as_user().post("/api/v1/tenants", body, idempotency_key=stage.state.tenant_key)
    stage.state.tenant_id = job["tenant_id"]
    stage.state.save()
    owner = stage.as_user(job["tenant_id"])
    stage.succeeded(owner, job["id"])
    tenant: Mapping[str, Any] = owner.get(f"/api/v1/tenants/{job['tenant_id']}")
    if tenant["state"] != "active":
        raise PartFailed(f"tenant {tenant['id']} is {tenant['state']} after it was provisioned")
    return tenant


def _key_works(stage: Stage, tenant_id: str) -> bool:
    if stage.state.api_key is None:
        return False
    try:
        me = stage.as_tenant().get("/api/v1/auth/me")
    except Problem as problem:
        if problem.status != 401:
            raise
        return False
    return bool(me["tenant_id"] == tenant_id and set(SCOPES) <= set(me["permissions"]))

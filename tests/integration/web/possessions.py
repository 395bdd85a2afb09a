"""One of each thing that a tenant can own, made over the API, and a picture of all its rows to compare with later.

A new route whose path names a new sort of thing needs an entry in `POSSESSIONS`; the matrix fails until it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import sql

from bus.events import publish
from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tenancy.audit.sealing import seal_waiting
from tenancy.scopes import tenant_scope
from tests.integration.web.callers import Caller
from tests.integration.web.engine import run, run_queued
from tests.relaying import relay_all

V1 = "/api/v1"
Ids = dict[str, str]

SCHEDULE = {"name": "mine", "kind": "system.ping", "payload": {}, "cron": "0 7 * * *", "timezone": "UTC"}
ENDPOINT = {"url": "https://example.com/hook", "event_types": ["notification.sent"], "description": "Mine"}
PLAN = {"code": "team", "name": "Team", "amount": 2900, "currency": "eur", "interval": "month"}
CUSTOMER = {"name": "Ada Lovelace", "email": "ada@example.com", "timezone": "Europe/Berlin"}
ROLE = {"name": "mine", "permissions": ["job:read"]}
GROUP = {"name": "mine"}
BUDGET = {"name": "Secret", "period": "month", "limit_micros": 1_000_000}
PRICE = {"provider": "openai", "model": "secret-model", "input_micros": 1, "output_micros": 2}
TEMPLATE = {"variants": [{"channel": "email", "locale": "en", "subject": "Secret", "text": "Secret."}]}
BROADCAST = {"name": "Secret", "subject": "Secret", "text": "Secret.", "audience": {}, "category": "news"}
DOCUMENT = {"title": "Secret", "body": "Secret."}
SEARCH_SOURCE = {"name": "secret", "url": "https://example.com/search", "secret": "Bearer secret-secret"}

BODIES: Mapping[str, Any] = {
    "put_schedule": SCHEDULE, "replace_webhook_endpoint": ENDPOINT, "update": {"name": "Theirs"}, "put_document": DOCUMENT,
    "put_role": ROLE, "put_group": GROUP, "put_role_permissions": {"items": ["job:read"]},
    "update_user": {"roles": ["viewer"]}, "put_customer": {"name": "Theirs", "email": "theirs@example.com"},
    "create_payment_method": {"provider_id": "pm_card_visa"}, "open_portal": {"return_url": "https://example.com/"},
    "change_plan": {"plan_id": str(new_id())},
    "put_template": TEMPLATE, "preview_template": {"channel": "email", "data": {}}, "put_preferences": {},
    "note_engagement": {"event": "read"}, "create_device": {"kind": "fcm", "token": "secret" * 20},
    "put_budget": BUDGET, "put_price": PRICE,
    "put_search_source": SEARCH_SOURCE,
}  # fmt: skip
"""What is sent to operations that need a body to get as far as looking for the thing."""


def _made(caller: Caller, path: str, body: Any) -> dict[str, Any]:
    answer = caller.post(f"{V1}{path}", json=body)
    assert answer.status_code in {200, 201, 202}, answer.text
    made: dict[str, Any] = answer.json
    return made


def _job(caller: Caller, engine: Tenancy, _: Ids) -> Ids:
    job_id = _made(caller, "/jobs", {"kind": "system.ping"})["id"]
    run_queued(engine, caller.tenant_id, "system.ping")
    return {"job_id": job_id}


def _schedule(caller: Caller, _engine: Tenancy, _: Ids) -> Ids:
    return {"schedule_id": _made(caller, "/schedules", SCHEDULE)["id"]}


def _endpoint(caller: Caller, engine: Tenancy, _: Ids) -> Ids:
    """An endpoint with an event and its delivery, which nobody sends."""
    endpoint_id = _made(caller, "/webhook-endpoints", ENDPOINT)["id"]
    with engine.platform.session(tenant_scope(caller.tenant_id)) as session:
        event_id = publish(session, engine.vault(caller.tenant_id), "notification.sent", {"n": 1})
    relay_all(engine)
    [delivery] = caller.get(f"{V1}/webhook-endpoints/{endpoint_id}/deliveries").json["items"]
    return {"endpoint_id": endpoint_id, "event_id": str(event_id), "delivery_id": delivery["id"]}


def _invoice(caller: Caller, engine: Tenancy, _: Ids) -> Ids:
    plan, customer = _made(caller, "/merchant/plans", PLAN), _made(caller, "/merchant/customers", CUSTOMER)
    long_ago = (datetime.now(UTC) - timedelta(days=40)).isoformat()
    subscription = _made(
        caller, "/merchant/subscriptions", {"customer_id": customer["id"], "plan_id": plan["id"], "anchor_at": long_ago}
    )
    payload = {"until": datetime.now(UTC).isoformat()}
    run(engine, caller.tenant_id, submit(engine, NewJob("billing.cycle", payload, system("beat", caller.tenant_id))).id)
    invoice = caller.get(f"{V1}/merchant/invoices").json["items"][0]["id"]
    line = caller.get(f"{V1}/merchant/invoices/{invoice}").json["lines"][0]["id"]
    note = _made(caller, "/merchant/credit-notes", {"invoice_id": invoice, "amount": 1, "reason": "Secret"})
    return {
        "plan_id": plan["id"], "customer_id": customer["id"], "subscription_id": subscription["id"], "invoice_id": invoice,
        "line_id": line, "credit_note_id": note["id"], "payment_method_id": str(new_id()),
    }  # fmt: skip


def _notification(caller: Caller, engine: Tenancy, _: Ids) -> Ids:
    message = {"to": "ada@example.com", "subject": "Secret", "text": "Secret."}
    sent = _made(caller, "/notifications/send", message)["id"]
    run_queued(engine, caller.tenant_id, "notification.deliver")
    return {"notification_id": sent}


def _audience(caller: Caller, _engine: Tenancy, ids: Ids) -> Ids:
    """A recipient, named like the tenant's document, with a device; a suppression; a template; a broadcast that waits."""
    recipient = f"/notifications/recipients/{ids['external_id']}"
    assert caller.put(f"{V1}{recipient}", json={"email": "ada@example.com"}).status_code == 201
    device = _made(caller, f"{recipient}/devices", {"kind": "fcm", "token": "secret" * 20})["id"]
    stopped = _made(caller, "/notifications/suppressions", {"channel": "email", "address": "eve@example.com"})["id"]
    template = _made(caller, "/notifications/templates", {"key": "welcome", **TEMPLATE})["id"]
    broadcast = caller.post(f"{V1}/notifications/broadcast", json=BROADCAST)
    named = f"secret-{new_id().hex}"
    assert caller.put(f"{V1}/notifications/recipients/{named}", json={"email": "eve@example.com"}).status_code == 201
    return {
        "recipient": named, "device_id": device, "suppression_id": stopped, "template_id": template,
        "broadcast_id": broadcast.json["id"],
    }  # fmt: skip


def _llm(caller: Caller, engine: Tenancy, _: Ids) -> Ids:
    asked = _made(caller, "/llm/completions", {"messages": [{"role": "user", "content": "Secret?"}]})["id"]
    run(engine, caller.tenant_id, UUID(asked))
    budget, price = _made(caller, "/llm/budgets", BUDGET), _made(caller, "/llm/prices", PRICE)
    return {"completion_id": asked, "budget_id": budget["id"], "price_id": price["id"]}


def _search(caller: Caller, engine: Tenancy, _: Ids) -> Ids:
    source = _made(caller, "/search/sources", SEARCH_SOURCE)["id"]
    body = {"q": "secret", "sources": ["documents"]}
    asked = caller.post(f"{V1}/search", json=body, headers={"Prefer": "respond-async"})
    run_queued(engine, caller.tenant_id, "search.query", "search.source")
    return {"search_id": asked.json["search_id"], "search_source_id": source}


def _document(caller: Caller, _engine: Tenancy, _: Ids) -> Ids:
    name = f"secret-{new_id().hex}"
    assert caller.put(f"{V1}/search/documents/{name}", json=DOCUMENT).status_code == 201
    return {"external_id": name}


def _identity(caller: Caller, _engine: Tenancy, _: Ids) -> Ids:
    key = _made(caller, "/api-keys", {"name": "mine", "scopes": ["job:read"]})["id"]
    [login, *_rest] = caller.get(f"{V1}/auth/sessions").json["items"]
    invited = _made(caller, "/users/invite", {"email": f"{new_id()}@example.com", "roles": ["viewer"]})["id"]
    return {"key_id": key, "session_id": login["id"], "user_id": str(caller.user_id), "invitation_id": invited}


def _group(caller: Caller, _engine: Tenancy, ids: Ids) -> Ids:
    """A group that its maker is in, and that gives a role of the tenant's own."""
    role, group = _made(caller, "/roles", ROLE)["id"], _made(caller, "/groups", GROUP)["id"]
    for inside in (f"members/{caller.user_id}", f"roles/{role}"):
        assert caller.put(f"{V1}/groups/{group}/{inside}").status_code == 204
    return {"role_id": role, "group_id": group}


def _tenant(caller: Caller, _engine: Tenancy, _: Ids) -> Ids:
    return {"tenant_id": str(caller.tenant_id), "tenant": str(caller.tenant_id)}


def _archive(caller: Caller, engine: Tenancy, _: Ids) -> Ids:
    """Last, because its job is one more of the tenant's rows."""
    job_id = _made(caller, f"/tenants/{caller.tenant_id}/export", None)["id"]
    run(engine, caller.tenant_id, UUID(job_id))
    return {"archive_id": job_id}


Maker = Callable[[Caller, Tenancy, Ids], Ids]


def _audit_export(caller: Caller, engine: Tenancy, _: Ids) -> Ids:
    asked = _made(caller, "/audit/exports", {})["id"]
    while seal_waiting(engine.platform):
        continue
    run(engine, caller.tenant_id, UUID(asked))
    return {"export_id": asked}


POSSESSIONS: tuple[Maker, ...] = (
    _tenant, _document, _job, _schedule, _endpoint, _invoice, _notification, _audience, _llm, _search, _identity, _group, _archive,
    _audit_export,
)  # fmt: skip
"""Each makes something that the caller's tenant owns and gives its ids by the names that paths use; it gets those so far."""

OF_THE_PLATFORM = {"name": "default", "permission": "job:read", "certificate_id": str(new_id())}
"""Names in paths that are no tenant's: operators alone may ask for them."""


def possess(caller: Caller, engine: Tenancy) -> Ids:
    """One of each, by the names that paths use."""
    ids: Ids = dict(OF_THE_PLATFORM)
    for make in POSSESSIONS:
        ids |= make(caller, engine, ids)
    return ids


_TABLES = """
SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND has_table_privilege(c.oid, 'SELECT')
   AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')
"""


def picture(engine: Tenancy, caller: Caller) -> dict[str, str]:
    """A digest of the tenant's rows in each table, on the platform and in its database."""
    scope = tenant_scope(caller.tenant_id)
    with engine.platform.session(scope) as platform, engine.session(caller.tenant_id) as own:
        return {
            f"{where}.{table}": session.connection().connection.cursor().execute(_digest(table), (caller.tenant_id,)).fetchone()[0]
            for where, session in (("platform", platform), ("tenant", own))
            for (table,) in session.connection().exec_driver_sql(_TABLES)
        }  # fmt: skip


def _digest(table: str) -> sql.Composed:
    statement = "SELECT md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM {} t WHERE tenant_id = %s"
    return sql.SQL(statement).format(sql.Identifier(table))

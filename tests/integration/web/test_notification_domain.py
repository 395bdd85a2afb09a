"""People, templates, providers, preferences, feeds and broadcasts over HTTP, with a worker's part done by hand."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from domain.ids import new_id
from domain.notifications.callbacks import twilio_signature
from domain.notifications.links import link_key, write_token
from domain.webhooks.signatures import new_secret, signed_headers
from models.tenant import Message, MeteredUsage, NotificationProvider, Suppression
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, pointers_of, program, run, run_queued

N = "/api/v1/notifications"
DELIVER, BATCH, BROADCAST = "notification.deliver", "notification.batch", "notification.broadcast"
ADA = {
    "email": "Ada@Example.com",
    "phone": "+491701234567",
    "locale": "de",
    "attributes": {"name": "Ada", "plan": "team"},
}
VARIANTS = [
    {
        "channel": "email",
        "locale": "en",
        "subject": "Hello {{ name }}",
        "text": "Hello {{ name }}",
        "html": "<b>{{ name }}</b>",
    },
    {"channel": "email", "locale": "de", "subject": "Hallo {{ name }}", "text": "Hallo {{ name }}"},
    {"channel": "in_app", "locale": "en", "subject": "News", "text": "For {{ recipient.name }}"},
]


def put_recipient(caller: Caller, name: str = "ada", **fields: Any) -> Any:
    return caller.put(f"{N}/recipients/{name}", json={**ADA, **fields})


def deliver(caller: Caller, engine: Tenancy, **fields: Any) -> Any:
    """Send a message, do the worker's part, and read the message."""
    sent = caller.post(f"{N}/send", json={"subject": "Hello", "text": "Hello", **fields})
    assert sent.status_code == 202, sent.json
    run(engine, caller.tenant_id, UUID(sent.json["id"]))
    return caller.get(f"{N}/{sent.json['id']}").json


def put_with_etag(caller: Caller, path: str, body: Any) -> Any:
    return caller.put(path, json=body, headers={"If-Match": caller.get(path).headers["ETag"]})


# --- people


def test_a_recipient_is_created_replaced_and_read_in_one_spelling(caller: Caller) -> None:
    assert put_recipient(caller).status_code == 201
    assert put_recipient(caller, phone=None).status_code == 200
    read = caller.get(f"{N}/recipients/ada").json
    assert (read["email"], read["phone"], read["external_id"]) == ("ada@example.com", None, "ada")
    assert [item["external_id"] for item in all_of(caller, f"{N}/recipients", email="ada@example.com")] == ["ada"]
    assert caller.delete(f"{N}/recipients/ada").status_code == 204
    assert code_of(caller.get(f"{N}/recipients/ada")) == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"email": "nobody"}, "/email"), ({"phone": "0170 1234"}, "/phone"), ({"locale": "german"}, "/locale"),
        ({"timezone": "Mars/Olympus"}, "/timezone"), ({"attributes": {"a": "x" * 9000}}, "/attributes"), ({"age": 3}, "/age"),
    ],
)  # fmt: skip
def test_a_bad_recipient_is_refused_and_changes_nothing(caller: Caller, change: dict[str, Any], pointer: str) -> None:
    refused = put_recipient(caller, **change)
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]
    assert all_of(caller, f"{N}/recipients") == []


def test_many_recipients_are_written_at_once_or_not_at_all(caller: Caller) -> None:
    items = [{"external_id": f"user-{n}", "email": f"user-{n}@example.com"} for n in range(30)]
    assert caller.post(f"{N}/recipients/bulk", json={"items": items}).json == {"stored": 30}
    bad = caller.post(
        f"{N}/recipients/bulk", json={"items": [{"external_id": "new"}, {"external_id": "x", "email": "no"}]}
    )
    assert pointers_of(bad) == ["/items/1/email"]
    assert len(all_of(caller, f"{N}/recipients", limit="7")) == 30


def test_a_devices_address_is_sealed_and_only_its_end_is_shown(caller: Caller) -> None:
    put_recipient(caller)
    devices = f"{N}/recipients/ada/devices"
    token = "fRz3sPq5T0e:APA91bHexampletoken"
    made = caller.post(devices, json={"kind": "fcm", "token": token})
    assert (made.status_code, made.json["last_four"]) == (201, "oken")
    assert token not in made.get_data(as_text=True)
    assert caller.post(devices, json={"kind": "fcm", "token": token}).json["id"] == made.json["id"]
    for bad in ({"kind": "fcm"}, {"kind": "fcm", "token": "short"}, {"kind": "web_push", "token": token},
                {"kind": "web_push", "endpoint": "http://127.0.0.1/push", "keys": {"p256dh": "B" + "A" * 86, "auth": "A" * 22}}):  # fmt: skip
        assert code_of(caller.post(devices, json=bad)) == (422, "invalid_payload")
    assert caller.delete(f"{devices}/{made.json['id']}").status_code == 204
    assert all_of(caller, devices) == []


# --- templates


def make_template(caller: Caller, **fields: Any) -> Any:
    return caller.post(
        f"{N}/templates", json={"key": "welcome", "category": "onboarding", "variants": VARIANTS, **fields}
    )


def test_a_template_speaks_the_recipients_language_and_each_put_makes_a_version(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    made = make_template(caller)
    assert (made.status_code, made.json["version"], made.json["variables"]) == (201, 1, ["name"])
    put_recipient(caller)
    message = deliver(
        caller, engine_tenancy, to="ada@example.com", subject=None, text=None, template="welcome", data={"name": "Ada"}
    )
    assert (message["subject"], message["locale"], message["category"]) == ("Hallo Ada", "de", "onboarding")
    other = deliver(
        caller,
        engine_tenancy,
        to="bob@example.com",
        subject=None,
        text=None,
        template="welcome",
        data={"name": "<Bob>"},
    )
    assert (other["subject"], other["html"]) == ("Hello <Bob>", "<b>&lt;Bob&gt;</b>")
    path = f"{N}/templates/{made.json['id']}"
    changed = [{**VARIANTS[0], "subject": "Welcome {{ name }}"}]
    assert code_of(caller.put(path, json={"variants": changed})) == (428, "precondition_required")
    etag = caller.get(path).headers["ETag"]
    assert caller.put(path, json={"variants": changed}, headers={"If-Match": etag}).json["version"] == 2
    assert code_of(caller.put(path, json={"variants": changed}, headers={"If-Match": etag})) == (
        412,
        "precondition_failed",
    )
    assert [item["number"] for item in caller.get(f"{path}/versions").json["items"]] == [2, 1]
    assert caller.get(path, query_string={"number": 1}).json["variants"][1]["locale"] == "de"
    pinned = deliver(
        caller, engine_tenancy, to="bob@example.com", subject=None, text=None, template="welcome", template_version=1,
        data={"name": "Bob"},
    )  # fmt: skip
    assert (pinned["subject"], pinned["template_version"]) == ("Hello Bob", 1)
    assert code_of(make_template(caller)) == (409, "conflict")
    assert caller.delete(path).status_code == 204


@pytest.mark.parametrize(
    ("variant", "pointer"),
    [
        ({"text": "{{ name"}, "/variants/0/text"), ({"html": "{% include 'x' %}"}, "/variants/0/html"),
        ({"subject": None}, "/variants/0/subject"), ({"locale": "german"}, "/variants/0/locale"),
        ({"subject": "a\r\nBcc: b"}, "/variants/0/subject"), ({"channel": "pigeon"}, "/variants/0/channel"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_work_is_refused(caller: Caller, variant: dict[str, Any], pointer: str) -> None:
    refused = make_template(caller, variants=[{**VARIANTS[0], **variant}])
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]
    assert all_of(caller, f"{N}/templates") == []


def test_a_preview_is_rendered_by_a_job_and_names_what_is_missing(caller: Caller, engine_tenancy: Tenancy) -> None:
    template = make_template(caller).json["id"]
    path = f"{N}/templates/{template}/preview"
    lacking = caller.post(path, json={"data": {}})
    assert (code_of(lacking), pointers_of(lacking)) == ((422, "invalid_payload"), ["/data/name"])
    assert pointers_of(caller.post(path, json={"channel": "sms", "data": {"name": "Ada"}})) == ["/locale"]
    job = caller.post(path, json={"locale": "en", "data": {"name": "<Ada>"}}).json
    rendered = run(engine_tenancy, caller.tenant_id, UUID(job["id"]))
    assert rendered == {"subject": "Hello <Ada>", "text": "Hello <Ada>", "html": "<b>&lt;Ada&gt;</b>"}


# --- preferences, quiet hours, suppressions


def test_explain_names_the_rule_that_delivery_then_follows(caller: Caller, engine_tenancy: Tenancy) -> None:
    put_recipient(caller)
    path = f"{N}/preferences/ada"
    assert code_of(caller.put(path, json={})) == (428, "precondition_required")
    assert put_with_etag(caller, path, {"categories": {"news": {"email": False}}}).status_code == 200
    asked = {"recipient": "ada", "channel": "email", "category": "news"}
    told = caller.post(f"{N}/explain", json=asked).json
    assert (told["outcome"], told["rule"]) == ("drop", "recipient_specific")
    message = deliver(caller, engine_tenancy, to="ADA@example.com", category="news")
    assert (message["status"], message["reason"], message["attempts"]) == ("not_sent", "recipient_specific", [])
    critical = deliver(caller, engine_tenancy, to="ada@example.com", category="news", critical=True)
    assert (critical["status"], critical["reason"]) == ("sent", "critical")
    put_with_etag(caller, f"{N}/settings", {"channels": {"email": False}})
    assert caller.post(f"{N}/explain", json={"to": "bob@example.com"}).json["rule"] == "tenant_default"
    assert code_of(caller.post(f"{N}/explain", json={"recipient": "nobody"})) == (404, "not_found")
    assert pointers_of(caller.post(f"{N}/explain", json={"to": "nobody"})) == ["/to"]


@pytest.mark.parametrize(
    "body", [{"quiet_hours": {"start": "25:00", "end": "07:00"}}, {"channels": {"pigeon": True}}, {"timezone": "Mars"}]
)
def test_bad_choices_are_refused(caller: Caller, body: dict[str, Any]) -> None:
    put_recipient(caller)
    assert code_of(put_with_etag(caller, f"{N}/preferences/ada", body)) == (422, "invalid_payload")


def test_a_suppressed_address_is_not_written_to_until_it_is_lifted(caller: Caller, engine_tenancy: Tenancy) -> None:
    made = caller.post(f"{N}/suppressions", json={"channel": "email", "address": "ADA@example.com"})
    assert (made.status_code, made.json["address"]) == (201, "ada@example.com")
    message = deliver(caller, engine_tenancy, to="ada@example.com", critical=True)
    assert (message["status"], message["reason"]) == ("not_sent", "suppression")
    assert len(all_of(caller, f"{N}/suppressions", reason="manual")) == 1
    assert caller.delete(f"{N}/suppressions/{made.json['id']}").status_code == 204
    assert deliver(caller, engine_tenancy, to="ada@example.com")["status"] == "sent"
    assert pointers_of(caller.post(f"{N}/suppressions", json={"channel": "sms", "address": "0170"})) == ["/address"]


def test_only_a_post_unsubscribes_and_only_from_the_messages_category(
    caller: Caller, client: Any, engine_tenancy: Tenancy, web_tenancy: Tenancy
) -> None:
    message = deliver(caller, engine_tenancy, to="ada@example.com", category="news")
    token = write_token(link_key(web_tenancy.ring.own[-1], "unsubscribe"), caller.tenant_id, UUID(message["id"]))
    mail = (engine_tenancy.settings.home / "outbox" / f"{message['id']}.eml").read_text()
    unfolded = mail.replace("\n ", "").replace("\r", "")
    assert f"/api/v1/notifications/unsubscribe/{token}>" in unfolded
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in unfolded
    path = f"{N}/unsubscribe/{token}"
    looked = client.get(path)
    assert (looked.status_code, looked.mimetype) == (200, "text/html")
    assert all_of(caller, f"{N}/suppressions") == []
    for _ in range(2):
        assert client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    [suppression] = all_of(caller, f"{N}/suppressions")
    assert (suppression["reason"], suppression["category"], suppression["message_id"]) == (
        "unsubscribe",
        "news",
        message["id"],
    )
    assert deliver(caller, engine_tenancy, to="ada@example.com", category="news")["status"] == "not_sent"
    assert deliver(caller, engine_tenancy, to="ada@example.com", category="billing")["status"] == "sent"
    assert code_of(client.post(f"{N}/unsubscribe/{'A' * 64}")) == (404, "not_found")


# --- providers


def providers(caller: Caller, *items: dict[str, Any]) -> Any:
    return put_with_etag(caller, f"{N}/providers", {"items": list(items)})


SMTP = {
    "name": "main", "type": "smtp", "config": {"host": "smtp.example.com", "from": "a@example.com"},
    "secrets": {"password": "correct horse battery"},
}  # fmt: skip


def test_a_providers_secrets_are_sealed_kept_and_shown_by_their_end(caller: Caller, web_tenancy: Tenancy) -> None:
    shown = providers(caller, SMTP)
    assert shown.status_code == 200
    assert shown.json["items"][0]["last_four"] == {"password": "tery"}
    assert "correct horse" not in shown.get_data(as_text=True) + caller.get(f"{N}/providers").get_data(as_text=True)
    kept = providers(caller, {**SMTP, "secrets": {}, "priority": 5})
    assert (kept.json["items"][0]["last_four"], kept.json["items"][0]["priority"]) == ({"password": "tery"}, 5)
    with web_tenancy.session(caller.tenant_id) as session:
        row = session.scalars(select(NotificationProvider)).one()
    assert b"correct" not in row.secret_sealed
    opened = web_tenancy.vault(caller.tenant_id).open(
        row.secret_sealed, "notification_providers", "secret_sealed", row.id
    )
    assert json.loads(opened) == {"password": "correct horse battery"}
    assert code_of(caller.put(f"{N}/providers", json={"items": []})) == (428, "precondition_required")
    assert providers(caller).json["items"] == []


@pytest.mark.parametrize(
    ("item", "pointer"),
    [
        ({**SMTP, "config": {"host": "smtp.example.com"}}, "/items/0/config/from"),
        ({**SMTP, "config": {**SMTP["config"], "hots": "x"}}, "/items/0/config/hots"),
        ({**SMTP, "config": {**SMTP["config"], "port": 70000}}, "/items/0/config/port"),
        ({"name": "t", "type": "twilio", "config": {"account_sid": "AC" + "0" * 32, "from": "0170"}, "secrets": {"auth_token": "x" * 32}},
         "/items/0/config/from"),
        ({"name": "t", "type": "fcm"}, "/items/0/secrets/service_account"),
        ({**SMTP, "type": "pigeon"}, "/items/0/type"),
    ],
)  # fmt: skip
def test_a_provider_that_cannot_work_is_refused(caller: Caller, item: dict[str, Any], pointer: str) -> None:
    refused = providers(caller, item)
    assert code_of(refused) == (422, "invalid_payload")
    assert pointers_of(refused) == [pointer]
    assert caller.get(f"{N}/providers").json["items"] == []


# --- reports of providers


def test_a_twilio_report_is_believed_only_if_signed_and_moves_a_message_forward_once(
    caller: Caller, client: Any, engine_tenancy: Tenancy, web_tenancy: Tenancy
) -> None:
    token = "x" * 32
    twilio = {
        "name": "t",
        "type": "twilio",
        "config": {"account_sid": "AC" + "0" * 32, "from": "+15005550006"},
        "secrets": {"auth_token": token},
    }
    url = providers(caller, twilio).json["items"][0]["callback_url"]
    path = url.removeprefix(web_tenancy.settings.base_url)
    form = {"MessageSid": "SM1", "SmsStatus": "received", "From": "+491701234567", "Body": "STOP"}
    assert code_of(client.post(path, data=form, headers={"X-Twilio-Signature": "forged"})) == (400, "invalid_signature")
    signature = twilio_signature(token, url, form.items())
    for _ in range(2):
        assert client.post(path, data=form, headers={"X-Twilio-Signature": signature}).json == {"received": True}
    [stop] = all_of(caller, f"{N}/suppressions")
    assert (stop["channel"], stop["address"], stop["reason"]) == ("sms", "+491701234567", "stop")
    again = {**form, "MessageSid": "SM2", "Body": "START"}
    client.post(path, data=again, headers={"X-Twilio-Signature": twilio_signature(token, url, again.items())})
    assert all_of(caller, f"{N}/suppressions") == []


def test_reports_out_of_order_move_a_message_only_forward_and_a_hard_bounce_suppresses(
    caller: Caller, client: Any, engine_tenancy: Tenancy, web_tenancy: Tenancy
) -> None:
    secret = new_secret()
    file = {"name": "dev", "type": "file_email", "secrets": {"callback_secret": secret}}
    path = providers(caller, file).json["items"][0]["callback_url"].removeprefix(web_tenancy.settings.base_url)
    message = deliver(caller, engine_tenancy, to="ada@example.com")
    assert message["status"] == "sent"

    def report(key: str, **body: Any) -> Any:
        raw = json.dumps({"message_id": message["id"], **body}).encode()
        headers = {**signed_headers(key, int(time.time()), raw, [secret]), "content-type": "application/json"}
        return client.post(path, data=raw, headers=headers)

    for key, body in (
        ("1", {"event": "clicked"}),
        ("2", {"event": "delivered"}),
        ("3", {"event": "sent"}),
        ("2", {"event": "delivered"}),
    ):
        assert report(key, **body).json == {"received": True}
    read = caller.get(f"{N}/{message['id']}").json
    assert read["status"] == "delivered"
    assert None not in (read["delivered_at"], read["seen_at"], read["read_at"], read["clicked_at"])
    assert [step["event"] for step in read["timeline"]] == [
        "accepted",
        "attempted",
        "succeeded",
        "clicked",
        "delivered",
        "sent",
    ]
    report("4", event="bounced", hard=True)
    report("5", event="delivered")
    assert caller.get(f"{N}/{message['id']}").json["status"] == "bounced"
    assert [each["reason"] for each in all_of(caller, f"{N}/suppressions")] == ["hard_bounce"]
    forged = client.post(
        path, data=b"{}", headers={"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
    )
    assert code_of(forged) == (400, "invalid_signature")


# --- several people, feeds, cancel


def test_a_notification_to_people_makes_a_message_for_each_channel_and_the_feed_shows_it(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    put_recipient(caller)
    put_recipient(caller, "bob", email=None, phone=None)
    body = {
        "recipients": ["ada", "bob", "nobody"],
        "channels": ["email", "in_app"],
        "subject": "Hello",
        "text": "Hello",
    }
    job = caller.post(f"{N}/send", json=body).json
    result = run(engine_tenancy, caller.tenant_id, UUID(job["id"]))
    assert [(each["recipient"], each["channel"]) for each in result["messages"]] == [
        ("ada", "email"), ("ada", "in_app"), ("bob", "in_app")
    ]  # fmt: skip
    assert [(each["recipient"], each["reason"]) for each in result["skipped"]] == [
        ("bob", "no_address"), ("nobody", "recipient_unknown"), ("nobody", "recipient_unknown")
    ]  # fmt: skip
    assert run_queued(engine_tenancy, caller.tenant_id, DELIVER) == 3
    assert len(all_of(caller, f"{N}/history", notification_id=job["id"])) == 3
    feed = f"{N}/recipients/ada/feed"
    [item] = all_of(caller, feed)
    assert (item["status"], item["read_at"]) == ("delivered", None)
    assert caller.get(f"{feed}/counts").json == {"unseen": 1, "unread": 1}
    assert caller.post(f"{N}/{item['id']}/engagement", json={"event": "seen"}).json["seen_at"] is not None
    assert caller.get(f"{feed}/counts").json == {"unseen": 0, "unread": 1}
    assert caller.post(f"{feed}/read").json == {"unseen": 0, "unread": 0}
    assert all_of(caller, feed, unread="true") == []


def test_a_message_is_cancelled_before_it_begins_and_not_after_it_was_sent(
    caller: Caller, engine_tenancy: Tenancy
) -> None:
    queued = caller.post(f"{N}/send", json={"to": "ada@example.com", "subject": "a", "text": "a"}).json["id"]
    for _ in range(2):
        assert caller.post(f"{N}/{queued}/cancel").json["status"] == "not_sent"
    assert caller.get(f"/api/v1/jobs/{queued}").json["state"] == "cancelled"
    sent = deliver(caller, engine_tenancy, to="ada@example.com")["id"]
    assert code_of(caller.post(f"{N}/{sent}/cancel")) == (409, "illegal_transition")
    assert code_of(caller.post(f"{N}/{new_id()}/cancel")) == (404, "not_found")


def test_each_sent_message_is_metered_once_and_points_at_its_source(caller: Caller, engine_tenancy: Tenancy) -> None:
    message = deliver(caller, engine_tenancy, to="ada@example.com")
    with engine_tenancy.session(caller.tenant_id) as session:
        [row] = session.scalars(select(MeteredUsage)).all()
    assert (row.code, row.quantity, row.source_kind, str(row.source_id)) == (
        "message.email",
        1,
        "message",
        message["id"],
    )


# --- broadcasts


def broadcast(caller: Caller, **fields: Any) -> Any:
    return caller.post(
        f"{N}/broadcast",
        json={"name": "News", "subject": "Hi", "text": "Hi", "audience": {}, "category": "news", **fields},
    )


def people(caller: Caller, count: int) -> None:
    items = [
        {"external_id": f"u{n}", "email": f"u{n}@example.com", "attributes": {"name": f"U{n}", "even": n % 2 == 0}}
        for n in range(count)
    ]
    caller.post(f"{N}/recipients/bulk", json={"items": items})


def test_a_broadcast_reaches_its_audience_once_and_tells_how_far_it_is(caller: Caller, engine_tenancy: Tenancy) -> None:
    people(caller, 45)
    caller.post(f"{N}/suppressions", json={"channel": "email", "address": "u2@example.com"})
    make_template(
        caller,
        key="news",
        variants=[{**VARIANTS[0], "text": "Dear {{ recipient.name }}", "subject": "News", "html": None}],
    )
    made = broadcast(caller, subject=None, text=None, template="news", audience={"attributes": {"even": True}}).json
    path = f"{N}/broadcasts/{made['id']}"
    assert caller.get(path).json["counts"]["queued"] == 23
    run(engine_tenancy, caller.tenant_id, UUID(made["id"]))
    run_queued(engine_tenancy, caller.tenant_id, BATCH)
    read = caller.get(path).json
    assert (read["state"], read["counts"]["sent"], read["counts"]["not_sent"], read["total"]) == ("finished", 22, 1, 23)
    message = all_of(caller, f"{N}/history", recipient="u4@example.com")[0]
    assert caller.get(f"{N}/{message['id']}").json["text"] == "Dear U4"
    assert [each["id"] for each in all_of(caller, f"{N}/broadcasts")] == [made["id"]]
    with engine_tenancy.session(caller.tenant_id) as session:
        assert len(session.scalars(select(MeteredUsage)).all()) == 22


def test_a_broadcast_to_nobody_is_refused(caller: Caller) -> None:
    refused = broadcast(caller)
    assert (code_of(refused), refused.json["errors"][0]["code"]) == ((422, "invalid_payload"), "empty_audience")
    put_recipient(caller, email=None)
    assert pointers_of(broadcast(caller)) == ["/audience"]
    assert pointers_of(broadcast(caller, subject=None, text=None, template="unheard-of")) == ["/template"]
    assert all_of(caller, f"{N}/broadcasts") == []


def test_a_cancelled_broadcast_writes_to_nobody_else(caller: Caller, engine_tenancy: Tenancy) -> None:
    people(caller, 5)
    made = UUID(broadcast(caller).json["id"])
    run(engine_tenancy, caller.tenant_id, made)
    assert caller.post(f"{N}/broadcasts/{made}/pause").json["state"] == "paused"
    assert caller.post(f"{N}/broadcasts/{made}/resume").json["state"] == "running"
    for _ in range(2):
        assert caller.post(f"{N}/broadcasts/{made}/cancel").json["state"] == "cancelled"
    assert code_of(caller.post(f"{N}/broadcasts/{made}/resume")) == (409, "illegal_transition")
    with pytest.raises(Exception, match="cancelled"):
        run_queued(engine_tenancy, caller.tenant_id, BATCH)
    assert all_of(caller, f"{N}/history") == []


# --- who may


def test_the_domain_is_guarded_by_permissions(caller: Caller, web_tenancy: Tenancy) -> None:
    nobody = program(caller, web_tenancy, "job:read")
    some = new_id()
    for method, path in PATHS:
        answer = nobody._send(
            method, path.replace("{id}", str(some)), {"json": {}} if method in {"POST", "PUT"} else {}
        )
        assert code_of(answer) == (403, "permission_denied"), f"{method} {path}"


def test_another_tenants_things_are_not_there(
    caller: Caller, stranger: Caller, engine_tenancy: Tenancy, web_tenancy: Tenancy
) -> None:
    put_recipient(caller)
    template = make_template(caller).json["id"]
    message = deliver(caller, engine_tenancy, to="ada@example.com")["id"]
    suppression = caller.post(f"{N}/suppressions", json={"channel": "email", "address": "x@example.com"}).json["id"]
    people(caller, 1)
    cast = broadcast(caller).json["id"]
    for method, path in (
        ("GET", f"{N}/recipients/ada"), ("DELETE", f"{N}/recipients/ada"), ("GET", f"{N}/preferences/ada"),
        ("GET", f"{N}/recipients/ada/feed"), ("GET", f"{N}/templates/{template}"), ("DELETE", f"{N}/templates/{template}"),
        ("GET", f"{N}/{message}"), ("POST", f"{N}/{message}/cancel"), ("DELETE", f"{N}/suppressions/{suppression}"),
        ("GET", f"{N}/broadcasts/{cast}"), ("POST", f"{N}/broadcasts/{cast}/cancel"),
    ):  # fmt: skip
        assert code_of(stranger._send(method, path, {})) == (404, "not_found"), f"{method} {path}"
    assert all_of(stranger, f"{N}/suppressions") == all_of(stranger, f"{N}/recipients") == []
    with web_tenancy.session(caller.tenant_id) as session:
        assert len(session.scalars(select(Suppression)).all()) == 1


PATHS = (
    ("POST", f"{N}/send"), ("POST", f"{N}/broadcast"), ("POST", f"{N}/explain"), ("GET", f"{N}/history"), ("GET", f"{N}/{{id}}"),
    ("POST", f"{N}/{{id}}/cancel"), ("POST", f"{N}/{{id}}/engagement"), ("GET", f"{N}/templates"), ("POST", f"{N}/templates"),
    ("GET", f"{N}/templates/{{id}}"), ("PUT", f"{N}/templates/{{id}}"), ("DELETE", f"{N}/templates/{{id}}"),
    ("POST", f"{N}/templates/{{id}}/preview"), ("GET", f"{N}/preferences/ada"), ("PUT", f"{N}/preferences/ada"),
    ("GET", f"{N}/suppressions"), ("POST", f"{N}/suppressions"), ("DELETE", f"{N}/suppressions/{{id}}"),
    ("GET", f"{N}/providers"), ("PUT", f"{N}/providers"), ("GET", f"{N}/settings"), ("PUT", f"{N}/settings"),
    ("PUT", f"{N}/recipients/ada"), ("GET", f"{N}/recipients"), ("POST", f"{N}/recipients/bulk"), ("GET", f"{N}/recipients/ada/feed"),
    ("POST", f"{N}/recipients/ada/devices"), ("GET", f"{N}/broadcasts"), ("GET", f"{N}/broadcasts/{{id}}"),
    ("POST", f"{N}/broadcasts/{{id}}/pause"), ("POST", f"{N}/broadcasts/{{id}}/cancel"),
)  # fmt: skip


def test_a_twilio_report_finds_a_message_whose_name_at_twilio_never_reached_us(
    caller: Caller, client: Any, engine_tenancy: Tenancy, web_tenancy: Tenancy
) -> None:
    """The call fell silent, so only the address that Twilio was given names the message."""
    token = "x" * 32
    twilio = {"name": "t", "type": "twilio", "secrets": {"auth_token": token},
              "config": {"account_sid": "AC" + "0" * 32, "from": "+15005550006"}}  # fmt: skip
    url = providers(caller, twilio).json["items"][0]["callback_url"]
    message = Message(
        tenant_id=caller.tenant_id, id=new_id(), channel="sms", recipient="+491701234567", subject="", body_text="Hi", status="unknown"
    )  # fmt: skip
    mail = Message(
        tenant_id=caller.tenant_id, id=new_id(), channel="email", recipient="a@example.com", subject="", body_text="Hi", status="sent"
    )  # fmt: skip
    with engine_tenancy.session(caller.tenant_id) as session:
        session.add_all([message, mail])

    def report(named: UUID, sid: str) -> Any:
        whole = f"{url}?message_id={named}"
        form = {"MessageSid": sid, "MessageStatus": "delivered"}
        headers = {"X-Twilio-Signature": twilio_signature(token, whole, form.items())}
        return client.post(whole.removeprefix(web_tenancy.settings.base_url), data=form, headers=headers)

    for _ in range(2):
        assert report(message.id, "SM1").json == {"received": True}
    report(mail.id, "SM2")
    read = caller.get(f"{N}/{message.id}").json
    assert (read["status"], read["provider"], read["provider_id"]) == ("delivered", "twilio:t", "SM1")
    assert caller.get(f"{N}/{mail.id}").json["status"] == "sent"

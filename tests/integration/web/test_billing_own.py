"""A tenant as the platform's customer: it subscribes, its jobs become usage, and it sees its own books and no others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import update

from domain.identity.principals import system
from domain.ids import new_id
from jobs.submit import NewJob, submit
from models.tenant import Customer, Invoice, Subscription, UsageEvent
from tenancy.access import Tenancy
from tests.integration.web.books import BILLING, WHO, operate, subscribe
from tests.integration.web.callers import Caller
from tests.integration.web.engine import all_of, code_of, run, run_queued


def test_a_tenants_jobs_become_its_usage_once(
    caller: Caller, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    assert code_of(caller.get(f"{BILLING}/subscription")) == (404, "not_found")
    made = subscribe(caller, plan())
    assert caller.get(f"{BILLING}/subscription").json == made
    for _ in range(3):
        job = submit(engine_tenancy, NewJob(kind="system.ping", payload={}, principal=system("x", caller.tenant_id)))
        run(engine_tenancy, caller.tenant_id, job.id)

    operate(engine_tenancy, operator_tenant, "usage.collect", {})
    operate(engine_tenancy, operator_tenant, "usage.collect", {})

    (jobs,) = caller.get(f"{BILLING}/usage").json["items"]
    assert (jobs["code"], jobs["quantity"]) == ("jobs", "3")
    with engine_tenancy.session(operator_tenant) as session:
        mine = session.query(UsageEvent).filter_by(customer_id=UUID(made["customer_id"])).all()
        assert {(each.code, each.source_type) for each in mine} == {("jobs", "job"), ("storage", "bucket")}
        assert str(job.id) in {each.source_id for each in mine}


def test_a_search_is_one_usage_event_that_points_at_its_job_however_many_sources_it_asked(
    caller: Caller, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    customer_id = UUID(subscribe(caller, plan())["customer_id"])
    asked = [
        caller.post("/api/v1/search", json={"q": "travel"}, headers={"Prefer": "respond-async"}).json["search_id"]
        for _ in range(2)
    ]
    run_queued(engine_tenancy, caller.tenant_id, "search.query", "search.source")

    for _ in range(2):
        operate(engine_tenancy, operator_tenant, "usage.collect", {})

    with engine_tenancy.session(operator_tenant) as session:
        mine = session.query(UsageEvent).filter_by(customer_id=customer_id).all()
    for code in ("searches", "jobs"):
        assert sorted(each.source_id or "" for each in mine if each.code == code) == sorted(asked)


def test_subscribing_again_is_going_over(caller: Caller, plan: Callable[..., UUID]) -> None:
    first = subscribe(caller, plan())
    other = plan(2000)
    second = subscribe(caller, other)
    assert (second["id"], second["plan_id"]) == (first["id"], str(other))
    assert subscribe(caller, other)["id"] == first["id"]


def test_invoices_of_the_platform_are_seen_by_whom_they_are_for(
    caller: Caller, stranger: Caller, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    sold = plan(pay_in_advance=True)
    subscribe(caller, sold)
    subscribe(stranger, sold)
    operate(engine_tenancy, operator_tenant, "billing.cycle", {"until": datetime.now(UTC).isoformat()})
    (mine,), (theirs,) = all_of(caller, f"{BILLING}/invoices"), all_of(stranger, f"{BILLING}/invoices")
    assert mine["id"] != theirs["id"]
    whole = caller.get(f"{BILLING}/invoices/{mine['id']}").json
    assert (whole["total"], whole["state"]) == (1000, "open")
    assert caller.get(f"{BILLING}/invoices/{mine['id']}/pdf").data.startswith(b"%PDF-")
    for path in (f"{BILLING}/invoices/{theirs['id']}", f"{BILLING}/invoices/{theirs['id']}/pdf",
                 f"/api/v1/merchant/invoices/{mine['id']}"):  # fmt: skip
        assert code_of(caller.get(path)) == (404, "not_found"), path


def test_a_tenant_pays_the_platform(
    caller: Caller, stranger: Caller, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    assert code_of(caller.post(f"{BILLING}/payment-methods", json={"provider_id": "pm_1"})) == (404, "not_found")
    sold = plan(pay_in_advance=True)
    assert subscribe(caller, sold)["state"] == "incomplete"
    subscribe(stranger, sold)
    assert caller.post(f"{BILLING}/payment-methods", json={"provider_id": "pm_card_visa"}).status_code == 202
    portal = caller.post(f"{BILLING}/portal", json={"return_url": "https://app.example.com/account"})
    run_queued(engine_tenancy, caller.tenant_id, "payment_method.attach", "billing.portal")
    told = caller.get(f"/api/v1/jobs/{portal.json['id']}").json["result"]
    assert told["url"].startswith("https://app.example.com/account")
    (method,) = caller.get(f"{BILLING}/payment-methods").json["items"]
    assert stranger.get(f"{BILLING}/payment-methods").json["items"] == []
    assert code_of(stranger.delete(f"{BILLING}/payment-methods/{method['id']}")) == (404, "not_found")
    operate(engine_tenancy, operator_tenant, "billing.cycle", {"until": datetime.now(UTC).isoformat()})
    run_queued(engine_tenancy, operator_tenant, "payment.collect")
    assert caller.get(f"{BILLING}/subscription").json["state"] == "active"
    assert stranger.get(f"{BILLING}/subscription").json["state"] == "incomplete"
    assert [each["state"] for each in all_of(caller, f"{BILLING}/invoices")] == ["paid"]
    assert caller.delete(f"{BILLING}/payment-methods/{method['id']}").status_code == 204
    assert caller.get(f"{BILLING}/payment-methods").json["items"] == []
    with engine_tenancy.session(operator_tenant) as session:
        assert session.query(Invoice).filter_by(state="paid").count() >= 1


def test_a_time_zone_that_is_none_is_refused_and_makes_no_customer(caller: Caller, plan: Callable[..., UUID]) -> None:
    body = {"plan_id": str(plan()), **WHO, "timezone": "Mars/Olympus"}
    assert code_of(caller.post(f"{BILLING}/subscribe", json=body)) == (422, "invalid_payload")
    assert code_of(caller.post(f"{BILLING}/subscribe", json={**WHO, "plan_id": str(new_id())})) == (404, "not_found")
    assert code_of(caller.get(f"{BILLING}/invoices")) == (404, "not_found")


def test_a_tenant_whose_card_failed_for_good_attaches_another_and_pays(
    caller: Caller, stranger: Caller, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    subscribe(caller, plan(pay_in_advance=True))
    subscribe(stranger, plan(pay_in_advance=True))
    operate(engine_tenancy, operator_tenant, "billing.cycle", {"until": datetime.now(UTC).isoformat()})
    (invoice,) = all_of(caller, f"{BILLING}/invoices")
    with engine_tenancy.session(operator_tenant) as session:
        session.execute(update(Invoice).where(Invoice.id == invoice["id"]).values(state="uncollectible", failures=5))
        session.execute(
            update(Subscription).where(Subscription.id == invoice["subscription_id"]).values(state="unpaid")
        )
    pay = f"{BILLING}/invoices/{invoice['id']}/pay"
    refused = caller.post(pay)
    assert (code_of(refused), "payment method" in refused.json["detail"]) == ((409, "conflict"), True)
    assert caller.post(f"{BILLING}/payment-methods", json={"provider_id": "pm_card_visa"}).status_code == 202
    run_queued(engine_tenancy, caller.tenant_id, "payment_method.attach")
    assert code_of(stranger.post(pay)) == (404, "not_found")
    assert caller.post(pay).json["available_actions"] == ["pay"]
    operate(engine_tenancy, operator_tenant, "billing.cycle", {"until": datetime.now(UTC).isoformat()})
    run_queued(engine_tenancy, operator_tenant, "payment.collect")
    assert caller.get(f"{BILLING}/invoices/{invoice['id']}").json["state"] == "paid"
    assert caller.get(f"{BILLING}/subscription").json["state"] == "active"
    assert code_of(caller.post(pay)) == (409, "illegal_transition")


def test_who_pays_is_who_was_named_last(
    caller: Caller, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    sold = plan()
    subscribe(caller, sold)
    named = {"name": "Acme Holding", "email": "accounts@example.com"}
    assert caller.post(f"{BILLING}/subscribe", json={"plan_id": str(sold), **named}).status_code == 200
    with engine_tenancy.session(operator_tenant) as session:
        customer = session.query(Customer).filter_by(external_id=str(caller.tenant_id)).one()
        assert (customer.name, customer.email, customer.version) == ("Acme Holding", "accounts@example.com", 2)


def test_a_draft_is_not_shown_before_it_is_final(
    caller: Caller, plan: Callable[..., UUID], operator_tenant: UUID, engine_tenancy: Tenancy
) -> None:
    subscribe(caller, plan())
    with engine_tenancy.session(operator_tenant) as session:
        customer = session.query(Customer).filter_by(external_id=str(caller.tenant_id)).one()
        draft = Invoice(tenant_id=operator_tenant, id=new_id(), customer_id=customer.id, currency="EUR", total=500,
                        state="draft", snapshot={})  # fmt: skip
        session.add(draft)
        draft_id = draft.id
    assert all_of(caller, f"{BILLING}/invoices") == []
    for path in (f"{BILLING}/invoices/{draft_id}", f"{BILLING}/invoices/{draft_id}/pdf"):
        assert code_of(caller.get(path)) == (404, "not_found")

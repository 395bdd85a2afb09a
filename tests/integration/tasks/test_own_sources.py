"""Messages, invoices and users as sources: what each finds, of whom, and for whom."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from config.settings import Settings
from domain.ids import new_id
from domain.search.query import Found, Query, Unanswered
from domain.search.sources import OWN
from domain.search.text import MOST_CLAUSES
from jobs.context import JobContext
from models.platform import Membership, User
from models.tenant import Customer, Invoice, InvoiceLine, Message
from tasks.sources import SOURCES, messages
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope, user_scope

MakeContext = Callable[..., Any]


@pytest.fixture
def context(make_context: MakeContext, pooled_tenant: UUID) -> JobContext:
    made: JobContext = make_context("system.ping", pooled_tenant, {})[0]
    return made


@pytest.fixture
def neighbour(make_context: MakeContext, make_tenant: Callable[..., UUID]) -> JobContext:
    """Another tenant in the same database."""
    made: JobContext = make_context("system.ping", make_tenant("pooled"), {})[0]
    return made


def ask(context: JobContext, source: str, question: str, *, wanted: int = 10, seconds: float = 60) -> Found:
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    return SOURCES[source].find(context, Query(new_id(), question, wanted), deadline)


def titles(found: Found) -> list[str]:
    return [hit.title for hit in found.hits]


def bill(context: JobContext, number: int | None, customer: str, *lines: str) -> UUID:
    tenant_id, customer_id, id = context.tenant_id, new_id(), new_id()
    with context.session() as session:
        session.add(Customer(tenant_id=tenant_id, id=customer_id, name=customer, email=f"{new_id()}@example.com"))
        session.flush()
        session.add(
            Invoice(
                tenant_id=tenant_id, id=id, number=number, customer_id=customer_id, currency="EUR", total=100,
                state="draft" if number is None else "open", snapshot={},
            )
        )  # fmt: skip
        session.flush()
        session.add_all(
            InvoiceLine(tenant_id=tenant_id, invoice_id=id, description=line, quantity=1, unit_amount=100, amount=100)
            for line in lines
        )
    return id


def join(tenancy: Tenancy, tenant_id: UUID, name: str, email: str, *, disabled: bool = False) -> UUID:
    user_id = new_id()
    with tenancy.platform.session(user_scope(user_id)) as session:
        user = User(id=user_id, email=email, name=name, password_hash="none")
        if disabled:
            user.disabled_at = datetime.now(UTC)
        session.add(user)
    with tenancy.platform.session(tenant_scope(tenant_id)) as session:
        session.add(Membership(tenant_id=tenant_id, user_id=user_id))
    return user_id


def test_an_invoice_is_found_by_number_customer_and_lines(context: JobContext, neighbour: JobContext) -> None:
    first = bill(context, 41, "Acme Shipping", "Harbour fees, May")
    bill(context, 42, "Basil & Sons", "Mooring", "Harbour fees, June")
    bill(context, None, "Acme Shipping", "Not yet")
    bill(neighbour, 41, "Acme Elsewhere", "Harbour fees")

    found = ask(context, "invoices", "41")

    assert titles(found) == ["Invoice 41, Acme Shipping"]
    assert (found.hits[0].id, found.hits[0].url) == (str(first), f"/api/v1/merchant/invoices/{first}")
    assert titles(ask(context, "invoices", "#42")) == ["Invoice 42, Basil & Sons"]
    assert sorted(titles(ask(context, "invoices", "acme"))) == [
        "Draft invoice, Acme Shipping",
        "Invoice 41, Acme Shipping",
    ]
    harbour = ask(context, "invoices", "harbour")
    assert sorted(titles(harbour)) == ["Invoice 41, Acme Shipping", "Invoice 42, Basil & Sons"]
    assert all("«Harbour»" in hit.snippet for hit in harbour.hits)
    assert titles(ask(context, "invoices", "elsewhere")) == []


def test_users_are_members_of_the_tenant_and_nobody_else(
    context: JobContext, neighbour: JobContext, web_tenancy: Tenancy
) -> None:
    mark = new_id().hex[:12]
    ada = join(web_tenancy, context.tenant_id, f"Ada {mark}", f"ada-{mark}@example.com")
    join(web_tenancy, context.tenant_id, f"Gone {mark}", f"gone-{mark}@example.com", disabled=True)
    join(web_tenancy, neighbour.tenant_id, f"Eve {mark}", f"eve-{mark}@example.com")

    found = ask(context, "users", mark)

    assert [(hit.id, hit.title, hit.snippet) for hit in found.hits] == [
        (str(ada), f"Ada {mark}", f"ada-{mark}@example.com")
    ]
    assert titles(ask(context, "users", f"ADA-{mark}@EXAMPLE.com")) == [f"Ada {mark}"]
    assert titles(ask(context, "users", f"ada {mark} nobody")) == []
    assert titles(ask(context, "users", "%")) == []
    assert titles(ask(context, "users", '""')) == []


def test_messages_of_the_tenant_alone_are_looked_through_and_only_the_newest(
    context: JobContext, neighbour: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where, subject in ((context, "old"), (context, "new"), (neighbour, "theirs")):
        with where.session() as session:
            session.add(
                Message(
                    tenant_id=where.tenant_id, id=new_id(), channel="email", recipient="a@b.example", subject=subject,
                    body_text="harbour",
                )
            )  # fmt: skip

    assert sorted(titles(ask(context, "messages", "harbour"))) == ["new", "old"]
    monkeypatch.setattr(messages, "NEWEST", 1)
    assert titles(ask(context, "messages", "harbour")) == ["new"]


def test_members_are_looked_through_until_the_deadline_only(context: JobContext, settings: Settings) -> None:
    with psycopg.connect(settings.owner_dsn) as holder:
        holder.execute("LOCK TABLE memberships IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unanswered) as raised:
            ask(context, "users", "ada", seconds=0.5)
    assert (raised.value.status, raised.value.code) == ("timeout", None)


def test_of_a_question_to_the_members_so_many_words_are_looked_for(
    context: JobContext, engine_tenancy: Tenancy
) -> None:
    """Each word costs a look at each member, in the database that all tenants share."""
    join(engine_tenancy, context.tenant_id, "Ada", f"{new_id()}@example.com")
    parts = sorted({"example.com"[begin:end] for begin in range(11) for end in range(begin + 1, 12)})
    known = ["ada", *parts[: MOST_CLAUSES - 1]]
    assert titles(ask(context, "users", " ".join([*known, *known, "nobody"]))) == ["Ada"]
    assert titles(ask(context, "users", " ".join([*known[:-1], *known[:-1], "nobody"]))) == []


@pytest.mark.parametrize("source", ["documents", "messages", "invoices", "users"])
def test_a_source_without_time_left_says_so(context: JobContext, source: str) -> None:
    with pytest.raises(Unanswered) as raised:
        ask(context, source, "harbour", seconds=-1)
    assert raised.value.status == "timeout"


@pytest.mark.parametrize("source", sorted(SOURCES))
@pytest.mark.parametrize("question", ["'", "a & | b", ":*", "\\", "%s :x", "9" * 40, "日本語 \U0001f600", "x" * 1000])
def test_any_question_has_an_answer(context: JobContext, source: str, question: str) -> None:
    assert titles(ask(context, source, question)) == []


def test_what_shows_another_resources_rows_needs_its_permission() -> None:
    assert OWN == {
        "documents": None, "messages": "notification:read", "invoices": "invoice:read", "users": "user:read",
    }  # fmt: skip

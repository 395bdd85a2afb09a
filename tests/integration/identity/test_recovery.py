"""Verifying an address and choosing a new password, by links that were mailed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from domain.identity.links import Purpose, sign_link
from domain.ids import new_id
from jobs import account_mail
from jobs.account_mail import link_job, operator_tenant
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tests.integration.identity.conftest import API, PASSWORD, Caller, CountedDatabase, Person, refused, tokens
from tests.integration.identity.mailbox import Mailbox, Received

NEW_PASSWORD = "another horse battery"


@pytest.fixture
def registered(client: FlaskClient, mailbox: Mailbox) -> tuple[Person, Received]:
    """A new account and the mail that asks to verify its address."""
    email = f"{new_id()}@example.com"
    made = post(client, "register", email=email, password=PASSWORD)
    assert made.status_code == 201
    assert made.get_json()["email_verified"] is False
    return Person(UUID(made.get_json()["id"]), email), mailbox.last_to(email)


def post(client: FlaskClient, route: str, **body: Any) -> Any:
    return client.post(f"{API}/auth/{route}", json=body)


def is_verified(client: FlaskClient, person: Person, password: str = PASSWORD) -> bool:
    caller = Caller(client, tokens(client, person, password)["access_token"])
    return bool(caller("GET", "/auth/me").get_json()["user"]["email_verified"])


def test_a_registration_mails_a_link_that_verifies_the_address_once(
    client: FlaskClient, registered: tuple[Person, Received]
) -> None:
    person, mail = registered
    assert mail.subject == "Confirm your email address"
    assert not is_verified(client, person)
    assert post(client, "verify-email", token=mail.token).status_code == 204
    assert is_verified(client, person)
    assert refused(post(client, "verify-email", token=mail.token)) == (422, "invalid_link")


def test_a_link_is_for_its_purpose_its_time_and_the_platform_that_signed_it(
    client: FlaskClient, registered: tuple[Person, Received], web_tenancy: Tenancy
) -> None:
    person, mail = registered
    forged = sign_link(b"f" * 32, Purpose.VERIFY_EMAIL, person.id, new_id())
    unknown = sign_link(web_tenancy.ring.own[0], Purpose.VERIFY_EMAIL, person.id, new_id())
    for token in (forged, unknown, "x", mail.token[:-1], f"{mail.token}A"):
        assert refused(post(client, "verify-email", token=token)) == (422, "invalid_link")
    reset = post(client, "reset-password", token=mail.token, password=NEW_PASSWORD)
    assert refused(reset) == (422, "invalid_link")
    expire(web_tenancy, person)
    assert refused(post(client, "verify-email", token=mail.token)) == (422, "invalid_link")
    assert not is_verified(client, person)


def test_a_forged_link_costs_no_query(client: FlaskClient, platform: CountedDatabase) -> None:
    before = platform.trips
    forged = sign_link(b"f" * 32, Purpose.RESET_PASSWORD, new_id(), new_id())
    assert post(client, "reset-password", token=forged, password=NEW_PASSWORD).status_code == 422
    assert platform.trips == before


def test_where_addresses_must_be_verified_who_is_not_signs_in_and_makes_no_tenant(
    client: FlaskClient, registered: tuple[Person, Received], verified: None
) -> None:
    person, mail = registered
    caller = Caller(client, tokens(client, person)["access_token"])
    tenant = {"name": "Acme", "tier": "pooled"}
    assert refused(caller("POST", "/tenants", json=tenant)) == (403, "email_unverified")
    assert post(client, "verify-email", token=mail.token).status_code == 204
    assert caller("POST", "/tenants", json=tenant).status_code == 202


def test_where_addresses_must_be_verified_who_is_not_brings_nobody_into_a_tenant(
    person: Person,
    pooled_tenant: UUID,
    join: Callable[..., None],
    log_in: Callable[..., Caller],
    verified: None,
    web_tenancy: Tenancy,
) -> None:
    join(person, pooled_tenant, "owner")
    caller = log_in(person, pooled_tenant)
    whom = {"email": f"{new_id()}@example.com", "roles": ["viewer"]}
    for path in ("/users/invite", "/users"):
        assert refused(caller("POST", path, json=whom)) == (403, "email_unverified")
    web_tenancy.platform.fetch("UPDATE users SET email_verified_at = now() WHERE id = %(id)s", {"id": person.id})
    assert caller("POST", "/users/invite", json=whom).status_code == 201


@pytest.mark.parametrize("route", ["resend-verification", "forgot-password"])
def test_asking_for_a_mail_answers_and_does_the_same_for_everyone(
    client: FlaskClient,
    person: Person,
    mailbox: Mailbox,
    platform: CountedDatabase,
    web_tenancy: Tenancy,
    route: str,
) -> None:
    verified_one = f"{new_id()}@example.com"
    answers, trips, jobs = [], [], []
    for email in (person.email, f"{new_id()}@example.com", verified_one):
        before = platform.trips
        answers.append(post(client, route, email=email))
        trips.append(platform.trips - before)
        jobs.append(queued(web_tenancy))
    assert [(answer.status_code, answer.get_data()) for answer in answers] == [(204, b"")] * 3
    assert len(set(trips)) == 1
    assert jobs == [1, 2, 3]
    assert [mail.to for mail in mailbox.deliver()] == [person.email]


def test_an_address_gets_one_mail_in_five_minutes_however_often_it_is_asked_for(
    app: Flask, person: Person, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_mail, "PAUSE_SECONDS", 10**9)  # no boundary falls into the test
    with ThreadPoolExecutor(8) as pool:
        statuses = list(
            pool.map(lambda _: post(app.test_client(), "forgot-password", email=person.email).status_code, range(16))
        )
    assert statuses == [204] * 16
    assert [mail.to for mail in mailbox.deliver()] == [person.email]
    later = account_mail.asked_link_key(Purpose.RESET_PASSWORD, person.email, datetime(2100, 1, 1, tzinfo=UTC))
    assert later != account_mail.asked_link_key(Purpose.RESET_PASSWORD, person.email, datetime.now(UTC))


def test_asking_again_mails_the_same_link_while_it_is_fresh_and_another_one_later(
    mailbox: Mailbox, person: Person, web_tenancy: Tenancy
) -> None:
    first, again = forgot(mailbox, person), forgot(mailbox, person)
    assert first.token == again.token
    mailbox.tenancy.platform.fetch(
        "UPDATE identity_links SET expires_at = now() + interval '29 minutes' WHERE user_id = %(id)s", {"id": person.id}
    )
    assert forgot(mailbox, person).token != first.token


def test_a_new_password_ends_all_sessions_and_opens_the_account_again(
    client: FlaskClient, person: Person, mailbox: Mailbox
) -> None:
    before = tokens(client, person)
    for _ in range(5):
        post(client, "login", email=person.email, password="wrong")
    link = forgot(mailbox, person)
    assert link.subject == "Choose a new password"
    assert post(client, "reset-password", token=link.token, password=NEW_PASSWORD).status_code == 204
    assert refused(Caller(client, before["access_token"])("GET", "/auth/me")) == (401, "unauthenticated")
    assert refused(post(client, "refresh-token", refresh_token=before["refresh_token"])) == (401, "unauthenticated")
    assert is_verified(client, person, NEW_PASSWORD)
    assert refused(post(client, "login", email=person.email, password=PASSWORD)) == (401, "invalid_credentials")
    again = post(client, "reset-password", token=link.token, password=PASSWORD)
    assert refused(again) == (422, "invalid_link")


def test_a_password_that_is_refused_does_not_use_the_link_up(
    client: FlaskClient, person: Person, mailbox: Mailbox
) -> None:
    link = forgot(mailbox, person)
    short = post(client, "reset-password", token=link.token, password="short")
    assert refused(short) == (422, "invalid_payload")
    assert short.get_json()["errors"][0]["pointer"] == "/password"
    tokens(client, person)
    assert post(client, "reset-password", token=link.token, password=NEW_PASSWORD).status_code == 204


def test_a_link_sent_eight_times_at_once_sets_one_password(app: Flask, person: Person, mailbox: Mailbox) -> None:
    link = forgot(mailbox, person)

    def reset(number: int) -> int:
        body = {"token": link.token, "password": f"{NEW_PASSWORD} {number}"}
        return post(app.test_client(), "reset-password", **body).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(reset, range(8)))
    assert sorted(statuses) == [204] + [422] * 7
    tokens(app.test_client(), person, f"{NEW_PASSWORD} {statuses.index(204)}")


def test_a_disabled_account_is_mailed_nothing_and_its_link_does_nothing(
    client: FlaskClient, person: Person, mailbox: Mailbox, web_tenancy: Tenancy
) -> None:
    link = forgot(mailbox, person)
    web_tenancy.platform.fetch("UPDATE users SET disabled_at = now() WHERE id = %(id)s", {"id": person.id})
    assert refused(post(client, "reset-password", token=link.token, password=NEW_PASSWORD)) == (422, "invalid_link")
    ask(mailbox, person)
    assert mailbox.deliver() == []


def test_a_mail_job_that_runs_twice_sends_the_same_link(
    mailbox: Mailbox, person: Person, make_context: Callable[..., Any]
) -> None:
    """Killed after the mail went out and before it could say so, it runs again: one mail too many, one link."""
    from tasks.accounts import mail_link

    job = link_job(operator_tenant(mailbox.tenancy), Purpose.RESET_PASSWORD, person.email)
    context, payload = make_context(job.kind, job.principal.tenant_id, job.payload)
    mail_link(context, payload)
    first = mailbox.read(context.job_id)
    mail_link(replace(context, attempt=2, token=new_id()), payload)
    assert mailbox.read(context.job_id).token == first.token


def test_no_row_holds_what_a_link_opens_with(
    registered: tuple[Person, Received], web_tenancy: Tenancy, engine_tenancy: Tenancy
) -> None:
    person, mail = registered
    row = engine_tenancy.platform.fetch("SELECT * FROM identity_links WHERE user_id = %(id)s", {"id": person.id})[0]
    assert mail.token not in str(row)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        engine_tenancy.platform.fetch("DELETE FROM identity_links", {})
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        web_tenancy.platform.fetch("UPDATE identity_links SET expires_at = now()", {})


def test_a_registration_that_cannot_submit_its_mail_makes_no_account(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = f"{new_id()}@example.com"

    def fail(*_: Any) -> None:
        raise psycopg.OperationalError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("web.api.auth.insert", fail)
        assert post(client, "register", email=email, password=PASSWORD).status_code == 503
    assert post(client, "register", email=email, password=PASSWORD).status_code == 201


@pytest.mark.parametrize("route", ["verify-email", "reset-password", "resend-verification", "forgot-password"])
@pytest.mark.parametrize("body", [{}, {"email": "nobody"}, {"token": ""}, {"token": 1}, {"token": "x", "user_id": "y"}])
def test_what_is_not_right_is_refused(client: FlaskClient, route: str, body: dict[str, Any]) -> None:
    assert refused(client.post(f"{API}/auth/{route}", json=body)) == (422, "invalid_payload")


def ask(mailbox: Mailbox, person: Person) -> None:
    """Submit the job as the API does, without its pause."""
    from jobs.submit import submit

    submit(mailbox.tenancy, link_job(operator_tenant(mailbox.tenancy), Purpose.RESET_PASSWORD, person.email))


def forgot(mailbox: Mailbox, person: Person) -> Received:
    ask(mailbox, person)
    return mailbox.last_to(person.email)


def expire(tenancy: Tenancy, person: Person) -> None:
    """The web account may not change links, so the engine's does."""
    engine = Tenancy(tenancy.settings, "engine")
    engine.platform.fetch("UPDATE identity_links SET expires_at = now() WHERE user_id = %(id)s", {"id": person.id})
    engine.dispose()


def queued(tenancy: Tenancy) -> int:
    operator = operator_tenant(tenancy)
    rows = tenancy.platform.fetch(
        "SELECT count(*) AS n FROM jobs WHERE tenant_id = %(t)s AND kind = 'account.mail_link' AND state = 'queued'",
        {"t": operator},
        tenant_scope(operator),
    )
    return int(rows[0]["n"])

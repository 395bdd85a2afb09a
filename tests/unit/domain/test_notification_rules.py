"""Who is written to, when, by whom; links, reports and templates, without any service."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import InvalidSignature, JobError, Permanent, RateLimited, Transient, UnknownOutcome
from domain.ids import new_id
from domain.notifications.callbacks import read_standard, read_twilio, twilio_signature, verify_standard, verify_twilio
from domain.notifications.channels import normal_email, normal_phone
from domain.notifications.decision import Choices, Outcome, Rule, Standing, Suppressed, decide
from domain.notifications.failover import Candidate, goes_on, ordered, suppresses
from domain.notifications.links import link_key, read_token, write_token
from domain.notifications.quiet_hours import QuietHours, quiet_until
from domain.notifications.templates import Variant, is_locale, missing, variables, variant_for
from domain.webhooks.signatures import new_secret, signed_headers

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
NIGHT = QuietHours(time(22), time(7))
NO, YES = False, True


def rule(standing: Standing, *, critical: bool = False, category: str = "news", at: datetime = NOON) -> tuple[str, str]:
    decision = decide(standing, channel="email", category=category, critical=critical, now=at)
    return decision.outcome.value, decision.rule.value


def test_the_rules_are_asked_in_one_order_and_the_first_with_an_opinion_decides() -> None:
    everything = Standing(
        suppressions=(Suppressed("hard_bounce"),),
        recipient=Choices({"email": YES}, {"news": {"email": YES}}),
        tenant=Choices({"email": YES}, {"news": {"email": YES}}),
    )
    assert rule(everything, critical=True) == ("drop", "suppression")
    refused = Choices({"email": NO}, {"news": {"email": NO}})
    assert rule(Standing(recipient=refused), critical=True) == ("send", "critical")
    assert rule(Standing(recipient=Choices({"email": NO}, {"news": {"email": YES}}))) == ("send", "recipient_specific")
    assert rule(Standing(recipient=Choices({"email": NO}), tenant=Choices({"email": YES}))) == (
        "drop",
        "recipient_general",
    )
    assert rule(Standing(tenant=Choices({"email": YES}, {"news": {"*": NO}}))) == ("drop", "tenant_default")
    assert rule(Standing(tenant=Choices({"*": NO}))) == ("drop", "tenant_default")
    assert rule(Standing()) == ("send", "platform_default")


def test_an_unsubscribe_covers_its_category_and_never_what_is_critical() -> None:
    about_news = Standing(suppressions=(Suppressed("unsubscribe", "news"),))
    assert rule(about_news) == ("drop", "suppression")
    assert rule(about_news, category="billing") == ("send", "platform_default")
    assert rule(Standing(suppressions=(Suppressed("unsubscribe"),)), category="billing") == ("drop", "suppression")
    assert rule(Standing(suppressions=(Suppressed("unsubscribe"),)), critical=True) == ("send", "critical")


def test_quiet_hours_hold_but_never_drop_and_leave_critical_messages_and_feeds_alone() -> None:
    quiet = Standing(quiet=NIGHT, timezone="UTC")
    midnight = datetime(2026, 6, 1, 23, 30, tzinfo=UTC)
    held = decide(quiet, channel="email", category="", critical=False, now=midnight)
    assert (held.outcome, held.rule, held.until) == (
        Outcome.HOLD,
        Rule.QUIET_HOURS,
        datetime(2026, 6, 2, 7, tzinfo=UTC),
    )
    assert rule(quiet, critical=True, at=midnight) == ("send", "critical")
    assert decide(quiet, channel="in_app", category="", critical=False, now=midnight).outcome is Outcome.SEND
    assert rule(quiet) == ("send", "platform_default")


@pytest.mark.parametrize(
    ("quiet", "zone", "now", "until"),
    [
        (NIGHT, "Europe/Berlin", "2026-06-01T20:00", "2026-06-02T05:00"),  # 22:00 there begins it
        (NIGHT, "Europe/Berlin", "2026-06-01T19:59", None),
        (NIGHT, "Europe/Berlin", "2026-06-02T05:00", None),  # 07:00 there ends it
        (NIGHT, "Asia/Kolkata", "2026-06-01T17:00", "2026-06-02T01:30"),
        (QuietHours(time(9), time(17)), "UTC", "2026-06-01T12:00", "2026-06-01T17:00"),
        (QuietHours(time(9), time(9)), "UTC", "2026-06-01T09:00", None),
        (
            QuietHours(time(22), time(7), frozenset({4})),
            "UTC",
            "2026-06-06T03:00",
            "2026-06-06T07:00",
        ),  # Friday's night
        (QuietHours(time(22), time(7), frozenset({4})), "UTC", "2026-06-07T03:00", None),
        # New York sets its clock forward at 02:00 on 8 March 2026: 02:30 does not exist, the gap ends at 07:00 UTC.
        (QuietHours(time(22), time(2, 30)), "America/New_York", "2026-03-08T06:30", "2026-03-08T07:00"),
        # and back at 02:00 on 1 November 2026: 01:30 comes twice, and the second counts.
        (QuietHours(time(22), time(1, 30)), "America/New_York", "2026-11-01T05:45", "2026-11-01T06:30"),
    ],
)
def test_quiet_hours_follow_the_recipients_clock(quiet: QuietHours, zone: str, now: str, until: str | None) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    expected = None if until is None else datetime.fromisoformat(until).replace(tzinfo=UTC)
    assert quiet_until(quiet, zone, moment) == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a shared machine may be slow
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # bounds are naive
    st.times().map(lambda t: t.replace(second=0, microsecond=0, tzinfo=None)),
    st.times().map(lambda t: t.replace(second=0, microsecond=0, tzinfo=None)),
    st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"]),
)
def test_every_hold_ends_later_within_a_day_and_a_half_and_outside_of_the_window(
    now: datetime, start: time, end: time, zone: str
) -> None:
    quiet = QuietHours(start, end)
    until = quiet_until(quiet, zone, now)
    if until is None:
        return
    assert now < until <= now + timedelta(hours=36)
    again = quiet_until(quiet, zone, until)
    assert again is None or again > until


def test_the_tenants_own_providers_come_first_and_the_platforms_only_where_the_tenant_lets_them() -> None:
    own, other = Candidate("smtp:a", 20, own=True), Candidate("ses:b", 10, own=True)
    shared = Candidate("smtp", 1, own=False)
    assert ordered([shared, own, other], "fallback") == [other, own, shared]
    assert ordered([shared, own, other], "when_none") == [other, own]
    assert ordered([shared], "when_none") == [shared]
    assert ordered([shared], "never") == []


@pytest.mark.parametrize(
    ("error", "on"),
    [
        (Transient("x"), True), (RateLimited("x"), True), (UnknownOutcome("x"), False),
        (Permanent("x", code="provider_unauthorized"), True), (Permanent("x", code="recipient_refused"), False),
        (Permanent("x", code="invalid_header"), False),
    ],
)  # fmt: skip
def test_another_provider_is_asked_only_where_nothing_was_sent_and_the_message_is_not_to_blame(
    error: JobError, on: bool
) -> None:
    assert goes_on(error) is on


def test_a_bad_address_and_a_stop_suppress() -> None:
    refused = "The mail server answered 550 5.1.1 no such user"
    assert suppresses("email", Permanent(refused, code="recipient_refused")) == "hard_bounce"
    assert suppresses("email", Permanent("550 mailbox full", code="recipient_refused")) is None
    assert suppresses("sms", Permanent("21610 unsubscribed", code="recipient_refused")) == "stop"
    assert suppresses("email", Permanent(refused, code="sender_refused")) is None


def test_a_variant_is_found_in_the_nearest_language() -> None:
    german, english, sms = (
        Variant("email", "de", "Hallo"), Variant("email", "en", "Hello"), Variant("sms", "en", "Hi")
    )  # fmt: skip
    variants = [german, english, sms]
    assert variant_for(variants, "email", "de-AT", "en") == german
    assert variant_for(variants, "email", "fr", "en") == english
    assert variant_for(variants, "sms", "de", "en-GB") == sms
    assert variant_for(variants, "push", "de", "en") is None
    assert is_locale("zh-Hant-TW")
    assert not is_locale("german")


def test_variables_are_what_a_template_reads_and_does_not_set() -> None:
    assert variables(["{{ name }} {% set x = 1 %}{{ x }}{% for item in items %}{{ loop.index }}{{ item }}{% endfor %}"]) == [
        "items", "name"
    ]  # fmt: skip
    assert missing(["name", "items"], {"name": None}) == ["items"]


@pytest.mark.parametrize(
    "source",
    ["{{ name", "{% if %}", "{% include 'x' %}", "{% extends 'x' %}", "{{ " + "(" * 500 + "1" + ")" * 500 + " }}"],
)
def test_a_template_that_cannot_be_kept_is_refused_with_a_sentence(source: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        variables([source])


def test_looking_for_variables_evaluates_nothing() -> None:
    assert variables(["{{ 'a' * (10 ** 9) }}"]) == []


def test_a_link_names_tenant_and_message_and_nobody_else_can_write_one() -> None:
    key, other = link_key(b"k" * 32, "unsubscribe"), link_key(b"k" * 32, "callback")
    tenant, message = new_id(), new_id()
    token = write_token(key, tenant, message)
    assert len(token) == 64
    assert read_token(key, token) == (tenant, message)
    assert read_token(other, token) is None
    assert read_token(key, "A" * 64) is None
    assert read_token(key, "?") is None


def test_twilios_signature_is_of_the_url_and_the_sorted_form() -> None:
    form = [("To", "+15550001"), ("From", "+15550002"), ("Body", "STOP")]
    signed = "https://example.com/hook" + "BodySTOP" + "From+15550002" + "To+15550001"
    expected = base64.b64encode(hmac.digest(b"token", signed.encode(), hashlib.sha1)).decode()
    assert twilio_signature("token", "https://example.com/hook", form) == expected
    verify_twilio("token", "https://example.com/hook", form, expected)
    with pytest.raises(InvalidSignature):
        verify_twilio("other", "https://example.com/hook", form, expected)


def test_twilios_words_are_translated() -> None:
    status = read_twilio({"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"})
    assert status is not None
    assert (status.event, status.provider_id, status.detail) == ("undelivered", "SM1", "error 30003")
    stop = read_twilio({"MessageSid": "SM2", "SmsStatus": "received", "From": "+15550001", "Body": " Stop  "})
    assert stop is not None
    assert (stop.event, stop.address) == ("stop", "+15550001")
    assert read_twilio({"MessageSid": "SM3", "SmsStatus": "received", "From": "+1", "Body": "please stop it"}) is None
    assert read_twilio({"MessageSid": "SM3", "MessageStatus": "queued"}) is None


def test_a_relays_report_is_signed_as_standard_webhooks_are() -> None:
    secret, body = new_secret(), b'{"event":"bounced"}'
    headers = signed_headers("msg_1", 1_000, body, [secret])
    verify_standard(secret, headers, body, 1_100)
    for changed in ({**headers, "webhook-id": "msg_2"}, {**headers, "webhook-timestamp": "1001"}, {}):
        with pytest.raises(InvalidSignature):
            verify_standard(secret, changed, body, 1_100)
    with pytest.raises(InvalidSignature):
        verify_standard(secret, headers, body, 2_000)  # too old
    report = read_standard("msg_1", {"event": "bounced", "message_id": "m", "hard": True})
    assert report is not None
    assert (report.key, report.event, report.hard) == ("msg_1", "bounced", True)
    assert read_standard("msg_1", {"event": "exploded", "message_id": "m"}) is None


@pytest.mark.parametrize(
    "text", ["ada", "ada@", "@example.com", "a b@example.com", "ada@example.com\nBcc: x@example.com", "a@b@c"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        normal_email(text)


def test_addresses_have_one_spelling() -> None:
    assert normal_email("Ada@Example.COM") == "ada@example.com"
    assert normal_phone("+49 170 1234567") == "+491701234567"
    for text in ("0170 1234567", "+49", "+1", "call me", "+999123"):
        with pytest.raises(ValueError, match=r"."):
            normal_phone(text)

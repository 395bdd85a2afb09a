"""A plan's quotas as they are written, and what the platform makes of them."""

from __future__ import annotations

from decimal import Decimal

from domain.billing.platform_usage import reported_as
from domain.billing.quotas import Quota, allowances, quotas_left, read_quotas


def test_a_number_warns_and_an_object_may_bound() -> None:
    written = {"a": 5, "b": {"limit": 6}, "c": {"limit": 7, "hard": True}}
    assert read_quotas(written) == {"a": Quota(5), "b": Quota(6), "c": Quota(7, hard=True)}


def test_the_platform_counts_what_it_knows_and_a_feature_that_is_false_allows_none() -> None:
    quotas = {"jobs": 5, "api-calls": 9, "messages": {"limit": 3, "hard": True}}
    features = {"messages": False, "searches": True, "sso": False}
    assert allowances(features, quotas) == {"jobs": Quota(5), "messages": Quota(0, hard=True)}


def test_what_is_left_is_told_with_each_quota() -> None:
    told = quotas_left({"jobs": 5, "messages": {"limit": 3, "hard": True}}, {"jobs": Decimal(6)})
    assert told["jobs"] == {"limit": 5, "hard": False, "used": "6", "exceeded": True}
    assert told["messages"] == {"limit": 3, "hard": True, "used": "0", "exceeded": False}


def test_a_channel_is_billed_by_itself_only_where_it_has_a_price() -> None:
    assert reported_as("message.sms", {"messages"}) == ("messages",)
    assert reported_as("message.sms", {"messages", "messages.sms"}) == ("messages", "messages.sms")
    assert reported_as("search", {"search."}) == ("searches",)
    assert reported_as("page", {}) == ("page",)

"""`nexus signing-keys`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from domain.ids import new_id
from tenancy.access import Tenancy
from tenancy.identity.signing_keys import listed
from tests.integration.cli.conftest import Account, Nexus


@pytest.fixture
def operator(logged_in: Account, web_tenancy: Tenancy) -> Iterator[Account]:
    """Someone who runs the platform, logged in; the keys are as before after the test."""
    web_tenancy.platform.fetch("UPDATE users SET is_operator = true WHERE id = %(id)s", {"id": logged_in.id})
    before = {"ids": [row["id"] for row in listed(web_tenancy.platform)]}
    yield logged_in
    web_tenancy.platform.fetch("DELETE FROM signing_keys WHERE NOT id = ANY(%(ids)s)", before)
    web_tenancy.platform.fetch(
        "UPDATE signing_keys SET retired_at = NULL, verifies_until = NULL WHERE id = ANY(%(ids)s)", before
    )


def test_keys_are_rotated_and_listed(nexus: Nexus, operator: Account) -> None:
    rotated = nexus("signing-keys", "rotate")
    assert rotated.code == 0, rotated.err
    items = nexus("signing-keys", "list", "--json").json["items"]
    assert [item["state"] for item in items[:2]] == ["shown", "verifying"]
    assert all(item["id"] in rotated.out for item in items)


def test_a_key_that_is_shown_can_be_retired(nexus: Nexus, operator: Account) -> None:
    new = nexus("signing-keys", "rotate", "--json").json["items"][0]["id"]
    left = nexus("signing-keys", "retire", new, "--json")
    assert (left.code, new in left.out) == (0, False)


def test_an_unknown_key_is_one_line_and_exit_code_2(nexus: Nexus, operator: Account) -> None:
    outcome = nexus("signing-keys", "retire", str(new_id()))
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert nexus("signing-keys", "retire", "x").code == 2


def test_who_is_no_operator_is_told_so(nexus: Nexus, logged_in: Account) -> None:
    outcome = nexus("signing-keys", "rotate")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)

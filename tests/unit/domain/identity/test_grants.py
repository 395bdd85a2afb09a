"""Who may give what, how groups may stand, and why a permission holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import GroupCycle, InvalidPayload, PermissionDenied
from domain.identity.explanations import Facts, Key, Step, explain
from domain.identity.grants import MOST_NESTED, check_nesting, check_within
from domain.identity.permissions import ALL, parse, parse_all, parse_own
from domain.ids import new_id

SOME = st.frozensets(st.sampled_from(sorted(ALL)))


@given(SOME, SOME)
def test_nobody_gives_what_they_lack(held: frozenset[str], given_: frozenset[str]) -> None:
    if given_ <= held:
        check_within(held, given_, "This role")
    else:
        with pytest.raises(PermissionDenied, match=min(given_ - held)):
            check_within(held, given_, "This role")


@pytest.mark.parametrize("ancestors", [[1], [2, 1], [3, 2, 1]])
def test_a_group_does_not_stand_below_itself(ancestors: list[int]) -> None:
    with pytest.raises(GroupCycle):
        check_nesting(1, ancestors, 0)


@given(st.integers(0, 15), st.integers(0, 15))
def test_groups_nest_so_deep_with_all_that_is_below_them(above: int, below: int) -> None:
    if above + 1 + below <= MOST_NESTED:
        check_nesting("x", range(above), below)
    else:
        with pytest.raises(InvalidPayload):
            check_nesting("x", range(above), below)


@given(st.sampled_from(sorted(ALL)))
def test_both_orders_of_a_permission_mean_the_same(name: str) -> None:
    resource, _, action = name.partition(":")
    assert parse(f"{action}:{resource}") == parse(name) == name
    with pytest.raises(InvalidPayload):
        parse_own(f"{action}:{resource}")


def test_a_tenants_own_permissions_are_read_in_both_orders_too() -> None:
    assert parse_all(["publish:report", "report:publish", "job:read"], {"report:publish"}) == {
        "report:publish", "job:read",
    }  # fmt: skip
    with pytest.raises(InvalidPayload) as refused:
        parse_all(["job:read", "report:publish", "x"])
    assert [fault.pointer for fault in refused.value.errors] == ["/permissions/1", "/permissions/2"]


USER, ROLE = Step("user", new_id(), "ada@example.com"), Step("role", new_id(), "reader")
GROUP = Step("group", new_id(), "dev")


def test_a_permission_holds_by_every_way_the_shortest_first() -> None:
    found = explain(Facts(USER, disabled=False, ways=((GROUP, ROLE), (ROLE,))), "job:read")
    assert (found.held, found.missing) == (True, ())
    assert found.paths == ((USER, ROLE), (USER, GROUP, ROLE))


@pytest.mark.parametrize("ways", [(), ((ROLE,),)])
@pytest.mark.parametrize("disabled", [True, False])
@pytest.mark.parametrize("scoped", [True, False, None])
@pytest.mark.parametrize("ended", [True, False])
def test_what_is_missing_is_named_each_by_itself(
    ways: tuple[tuple[Step, ...], ...], disabled: bool, scoped: bool | None, ended: bool
) -> None:
    scopes = frozenset({"job:read"} if scoped else set())
    key = None if scoped is None else Key(new_id(), "bot", scopes, ended)
    found = explain(Facts(USER, disabled, ways, key), "job:read")
    expected = {
        "no_role": not ways,
        "account_disabled": disabled,
        "key_ended": key is not None and ended,
        "not_in_scopes": scoped is False,
    }
    assert {lack.code for lack in found.missing} == {code for code, holds in expected.items() if holds}
    assert found.held == (not any(expected.values()))
    assert all(path[0].type == ("user" if key is None else "api_key") for path in found.paths)

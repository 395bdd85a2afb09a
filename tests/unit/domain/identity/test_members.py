"""Nobody gives or takes more than they hold, and a tenant keeps an owner."""

from __future__ import annotations

import pytest

from domain.errors import LastOwner, PermissionDenied
from domain.identity.grants import check_within
from domain.identity.members import check_owner_stays
from domain.identity.permissions import SYSTEM_ROLES


def test_an_admin_gives_what_admins_hold_and_makes_no_owner() -> None:
    admin = SYSTEM_ROLES["admin"]
    for name in ("admin", "editor", "viewer"):
        check_within(admin, SYSTEM_ROLES[name], name)
    with pytest.raises(PermissionDenied, match="tenant:delete"):
        check_within(admin, SYSTEM_ROLES["owner"], "Giving the role owner")


def test_only_the_last_owners_leaving_is_refused() -> None:
    check_owner_stays(1, was_owner=True, is_owner=False)
    check_owner_stays(0, was_owner=True, is_owner=True)
    check_owner_stays(0, was_owner=False, is_owner=False)
    with pytest.raises(LastOwner):
        check_owner_stays(0, was_owner=True, is_owner=False)

"""Rules of membership: a tenant keeps an owner. What members may do to each other stands in `grants`."""

from __future__ import annotations

from domain.errors import LastOwner

OWNER = "owner"
"""The system role that a tenant is never without."""


def check_owner_stays(other_owners: int, *, was_owner: bool, is_owner: bool) -> None:
    """Raise `LastOwner` if the change would leave the tenant without an owner who can sign in.

    Only who holds the role by name counts: one who has it through a group loses it with a change of groups, which then would
    have to be counted too.
    """
    if was_owner and not is_owner and other_owners == 0:
        raise LastOwner("This is the tenant's last owner; make another member an owner first.")

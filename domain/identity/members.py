"""Rules of membership: nobody gives, changes or takes away more than they hold, and a tenant keeps an owner."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from domain.errors import LastOwner, PermissionDenied

OWNER = "owner"
"""The system role that a tenant is never without."""


def check_within(held: Collection[str], concerned: Iterable[str], what: str) -> None:
    """Raise `PermissionDenied` unless the caller holds every permission that `what` is about.

    Without it whoever may change members could make themselves owner, or throw the owner out.
    """
    lacking = sorted(set(concerned) - set(held))
    if lacking:
        raise PermissionDenied(f"{what} takes permissions that the caller lacks: {', '.join(lacking)}.")


def check_owner_stays(other_owners: int, *, was_owner: bool, is_owner: bool) -> None:
    """Raise `LastOwner` if the change would leave the tenant without an owner who can sign in."""
    if was_owner and not is_owner and other_owners == 0:
        raise LastOwner("This is the tenant's last owner; make another member an owner first.")

"""Nobody gives, changes or takes away more than they hold themselves; with an API key, than the key holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from domain.errors import FieldError, GroupCycle, InvalidPayload, PermissionDenied

MOST_NESTED = 10
"""Groups from the top to the lowest. Each request of a member walks up so far."""


def check_within(held: Collection[str], concerned: Iterable[str], what: str) -> None:
    """Raise `PermissionDenied` unless the caller holds every permission that `what` is about.

    Without it, whoever may change members, roles or groups could make themselves owner, or throw the owner out.
    """
    lacking = sorted(set(concerned) - set(held))
    if lacking:
        raise PermissionDenied(f"{what} takes permissions that the caller lacks: {', '.join(lacking)}.")


def check_nesting(group: object, ancestors: Collection[object], levels_below: int) -> None:
    """Judge placing `group`, below which stand `levels_below` levels, under the lowest of these `ancestors`.

    Raises `GroupCycle` if it is one of them, and `InvalidPayload` if the groups would nest too deeply.
    """
    if group in ancestors:
        raise GroupCycle("The group would stand below itself: its new parent is the group or one of those below it.")
    if len(ancestors) + 1 + levels_below > MOST_NESTED:
        fault = FieldError("/parent_id", "too_deep", f"Groups nest {MOST_NESTED} deep at most.")
        raise InvalidPayload("The groups would nest too deeply.", errors=(fault,))

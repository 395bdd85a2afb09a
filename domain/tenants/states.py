"""A tenant's states, and from which of them each change may begin."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TenantState(StrEnum):
    """What may be done with a tenant.

    `active`: everything. `suspended` and `deleting`: reading on the platform's side, and the way back; jobs wait. `migrating`:
    its data is being moved or replaced, so nobody reads or writes it. `deleted`: only its certificate of erasure is left.
    """

    PROVISIONING = "provisioning"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    MIGRATING = "migrating"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state: what a person asks for. `begins` are the states that it may begin in."""

    name: str
    begins: frozenset[str]
    ends: str | None


CHANGES: dict[str, Change] = {
    change.name: change
    for change in (
        Change("suspend", frozenset({"active"}), "suspended"),
        Change("resume", frozenset({"suspended"}), "active"),
        Change("delete", frozenset({"active", "suspended", "failed"}), "deleting"),
        Change("undelete", frozenset({"deleting"}), None),
        Change("export", frozenset({"active", "suspended", "deleting"}), None),
        Change("restore", frozenset({"active", "suspended"}), "active"),
        Change("change_tier", frozenset({"active"}), "active"),
    )
}
"""`undelete` ends in the state that the deletion began in, `export` changes none."""


def begins(name: str) -> frozenset[str]:
    """The states that a change may begin in."""
    return CHANGES[name].begins

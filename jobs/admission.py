"""Who may submit what."""

from __future__ import annotations

from domain.errors import PermissionDenied, UnknownKind
from domain.identity.principals import Principal
from jobs.kinds import Kind, kind


def admit(principal: Principal, name: str) -> Kind:
    """The kind of that name, if clients may submit it and this one has its permission.

    Raises `UnknownKind`, also for the platform's own kinds, and `PermissionDenied`.
    """
    declared = kind(name)
    if declared.permission is None:
        raise UnknownKind(f"There is no job kind {name!r}; GET /api/v1/jobs/kinds lists them.")
    check_permission(principal, declared)
    return declared


def check_permission(principal: Principal, declared: Kind) -> None:
    """Raise `PermissionDenied` unless the principal may do what the kind does. The platform's own kinds need nothing."""
    if declared.permission is not None and not principal.may(declared.permission):
        raise PermissionDenied(f"The permission {declared.permission} is missing.")

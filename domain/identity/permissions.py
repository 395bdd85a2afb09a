"""Permissions, written `resource:action`, and the system roles that every tenant begins with."""

from __future__ import annotations

from collections.abc import Iterable

from domain.errors import FieldError, InvalidPayload

CATALOG: dict[str, tuple[str, ...]] = {
    "job": ("create", "read", "cancel", "replay"),
    "schedule": ("create", "read", "update", "delete", "run"),
    "notification": ("create", "read"),
    "completion": ("create", "read"),
    "llm_config": ("read", "update"),
    "search": ("create", "read"),
    "document": ("create", "read", "delete"),
    "plan": ("create", "read"),
    "customer": ("create", "read"),
    "subscription": ("create", "read"),
    "invoice": ("read",),
    "event": ("read",),
    "webhook_endpoint": ("create", "read", "update", "delete"),
    "user": ("read",),
    "role": ("read",),
    "api_key": ("create", "read", "delete"),
    "tenant": ("read", "update", "delete", "suspend", "export", "restore"),
}
"""Every permission that a route or a kind asks for. A test holds the catalog and the routes together."""

ALL = frozenset(f"{resource}:{action}" for resource, actions in CATALOG.items() for action in actions)
_READ = frozenset(name for name in ALL if name.endswith(":read"))
_WORKED_ON = {"job", "schedule", "notification", "completion", "search", "document"}
_WORK = frozenset(name for name in ALL if name.partition(":")[0] in _WORKED_ON)

SYSTEM_ROLES: dict[str, frozenset[str]] = {
    "owner": ALL,
    "admin": ALL - {"tenant:delete"},
    "editor": _WORK | _READ,
    "viewer": _READ,
}


def parse(text: str) -> str:
    """The catalog's spelling of a permission; `action:resource` (`create:invoice`) is accepted as an alias.

    Raises `InvalidPayload` for a permission that does not exist.
    """
    first, _, second = text.partition(":")
    for candidate in (f"{first}:{second}", f"{second}:{first}"):
        if candidate in ALL:
            return candidate
    raise InvalidPayload(
        f"There is no permission {text!r}.",
        errors=(FieldError("/permission", "unknown_permission", "Not in the catalog."),),
    )


def effective(role_permissions: Iterable[str], scopes: Iterable[str] | None) -> frozenset[str]:
    """What a caller may do: what the roles give, narrowed to an API key's scopes where there is a key."""
    granted = frozenset(role_permissions)
    return granted if scopes is None else granted & frozenset(scopes)

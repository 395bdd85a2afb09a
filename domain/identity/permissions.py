"""Permissions, written `resource:action`, and the system roles that every tenant begins with."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from domain.errors import FieldError, InvalidPayload

CATALOG: dict[str, tuple[str, ...]] = {
    "job": ("create", "read", "cancel", "replay"),
    "schedule": ("create", "read", "update", "delete", "run"),
    "notification": ("create", "read", "cancel", "update"),
    "notification_template": ("create", "read", "update", "delete"),
    "notification_provider": ("read", "update"),
    "completion": ("create", "read"),
    "llm_config": ("read", "update"),
    "search": ("create", "read"),
    "search_source": ("create", "read", "update", "delete"),
    "document": ("create", "read", "delete"),
    "plan": ("create", "read"),
    "meter": ("create", "read"),
    "customer": ("create", "read", "update"),
    "subscription": ("create", "read", "update"),
    "usage_event": ("create", "read"),
    "invoice": ("create", "read", "update"),
    "credit_note": ("create", "read"),
    "payment_method": ("create", "read", "delete"),
    "billing": ("read", "update"),
    "event": ("read",),
    "webhook_endpoint": ("create", "read", "update", "delete"),
    "user": ("create", "read", "update", "delete"),
    "invitation": ("create", "read", "delete"),
    "role": ("create", "read", "update", "delete"),
    "group": ("create", "read", "update", "delete"),
    "permission": ("create", "delete"),
    "api_key": ("create", "read", "delete"),
    "tenant": ("read", "update", "delete", "suspend", "export", "restore"),
    "audit": ("read",),
}
"""Every permission that a route or a kind asks for. A test holds the catalog and the routes together."""

ALL = frozenset(f"{resource}:{action}" for resource, actions in CATALOG.items() for action in actions)
_READ = frozenset(name for name in ALL if name.endswith(":read")) - {"audit:read"}
_WORKED_ON = {"job", "schedule", "notification", "notification_template", "completion", "search", "document"}
_WORK = frozenset(name for name in ALL if name.partition(":")[0] in _WORKED_ON)

SYSTEM_ROLES: dict[str, frozenset[str]] = {
    "owner": ALL,
    "admin": ALL - {"tenant:delete"},
    "editor": _WORK | _READ,
    "viewer": _READ,
}


_OWN = re.compile(r"[a-z][a-z0-9_]{0,49}:[a-z][a-z0-9_]{0,49}")


def parse(text: str, own: Collection[str] = ()) -> str:
    """The catalog's spelling of a permission; `action:resource` (`create:invoice`) is accepted as an alias.

    `own` are the tenant's own permissions beside the catalog's. Raises `InvalidPayload` for one that does not exist.
    """
    for candidate in (text, _turned(text)):
        if candidate in ALL or candidate in own:
            return candidate
    raise InvalidPayload(
        f"There is no permission {text!r}.",
        errors=(FieldError("/permission", "unknown_permission", "Not in the catalog."),),
    )


def parse_all(texts: Iterable[str], own: Collection[str] = (), pointer: str = "/permissions") -> frozenset[str]:
    """As `parse` for each of a list. Raises `InvalidPayload` that points at each one which does not exist."""
    found: set[str] = set()
    faults: list[FieldError] = []
    for index, text in enumerate(texts):
        try:
            found.add(parse(text, own))
        except InvalidPayload as error:
            faults.append(FieldError(f"{pointer}/{index}", "unknown_permission", error.detail))
    if faults:
        raise InvalidPayload("Some permissions do not exist; GET /api/v1/permissions lists them.", errors=tuple(faults))
    return frozenset(found)


def parse_own(text: str) -> str:
    """The name of a permission that a tenant makes for itself: `resource:action`, and none of the catalog's, turned or not.

    Raises `InvalidPayload`.
    """
    if not _OWN.fullmatch(text):
        raise _bad_name("invalid", "Must be `resource:action` of lower-case letters, digits and underscores.")
    if text in ALL or _turned(text) in ALL:
        raise _bad_name("taken", "The platform has this permission.")
    return text


def _turned(text: str) -> str:
    first, _, second = text.partition(":")
    return f"{second}:{first}"


def _bad_name(code: str, detail: str) -> InvalidPayload:
    return InvalidPayload("The permission cannot be made.", errors=(FieldError("/name", code, detail),))


def effective(role_permissions: Iterable[str], scopes: Iterable[str] | None) -> frozenset[str]:
    """What a caller may do: what the roles give, narrowed to an API key's scopes where there is a key."""
    granted = frozenset(role_permissions)
    return granted if scopes is None else granted & frozenset(scopes)

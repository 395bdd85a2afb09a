"""An entry of the audit: who did what to which object, and what it was before and after. Secrets never stand in one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

PLATFORM = UUID(int=0)
"""The chain of what belongs to no tenant, such as logins and what operators do. Operators read it."""

LARGEST = 16_384
"""Bytes of JSON that `before` or `after` may have; of a larger one only the names are kept."""

REDACTED = "[redacted]"

_SECRET = re.compile(
    r"(^|_)(password|passwd|secret|token|credential|credentials|authorization|cookie|dsn|hash|sealed|private|payload)(_|$)"
    r"|(^|_)(api|access|private|secret|signing|master)_?key$",
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change comes from.

    `actor` is `user:<id>`, `key:<id>`, `job:<id>`, `provider:<name>`, `system:<what>` or `anonymous`; `user_id` is whom it
    acts for.
    """

    actor: str
    user_id: UUID | None = None
    request_id: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `action` is `<resource>.<what was done>`, as `role.created`, `resource` is `<resource>:<id>`, `tenant_id` names the chain."""

    tenant_id: UUID
    id: UUID
    occurred_at: datetime
    actor: str
    user_id: UUID | None
    action: str
    resource: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    request_id: str | None
    address: str | None


def presentable(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The values as an entry may keep them: plain JSON, what is named like a secret redacted, never too large."""
    if values is None:
        return None
    shown = {name: _shown(name, value) for name, value in values.items()}
    if len(json.dumps(shown)) > LARGEST:
        return {"truncated": True, "names": sorted(shown)[:100]}
    return shown


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides with only what differs between them."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {n: before[n] for n in names if n in before}, {n: after[n] for n in names if n in after}


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, (bytes, memoryview)) or (value is not None and _SECRET.search(name.lower())):
        return REDACTED
    if isinstance(value, Mapping):
        return {str(inner): _shown(str(inner), each) for inner, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        listed = [_shown("", each) for each in value]
        return sorted(listed, key=str) if isinstance(value, (set, frozenset)) else listed
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value).replace("\0", "�")

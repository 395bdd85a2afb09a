"""Why somebody holds a permission, or what is missing: from the facts to the paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Step:
    """One thing on the way: `api_key`, `user`, `group` or `role`."""

    type: str
    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Lack:
    """Something without which the permission does not hold."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Key:
    """The API key that is asked about. `ended` if it is revoked or expired."""

    id: UUID
    name: str
    scopes: frozenset[str]
    ended: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database says: the ways from the user over groups, the nearest first, to roles that hold the permission."""

    user: Step
    disabled: bool
    ways: tuple[tuple[Step, ...], ...]
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether it holds, by which paths roles give it, and what is missing if it does not hold."""

    held: bool
    paths: tuple[tuple[Step, ...], ...]
    missing: tuple[Lack, ...]


def explain(facts: Facts, permission: str) -> Explanation:
    """Judge the facts. The permission holds if some role gives it and nothing stands in its way."""
    begin = (facts.user,) if facts.key is None else (Step("api_key", facts.key.id, facts.key.name), facts.user)
    paths = tuple((*begin, *way) for way in sorted(facts.ways, key=_length))
    missing = []
    if not paths:
        missing.append(
            Lack("no_role", f"No role of the user, of the user's groups or of those above gives {permission}.")
        )
    if facts.disabled:
        missing.append(Lack("account_disabled", "The account is disabled."))
    if facts.key is not None and facts.key.ended:
        missing.append(Lack("key_ended", "The API key is revoked or expired."))
    if facts.key is not None and permission not in facts.key.scopes:
        missing.append(Lack("not_in_scopes", f"The API key's scopes do not include {permission}."))
    return Explanation(not missing, paths, tuple(missing))


def _length(way: Sequence[Step]) -> tuple[int, list[str]]:
    return len(way), [step.name for step in way]

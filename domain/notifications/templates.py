"""Templates: which variant of which version says it, and what may not be kept. Rendering is done elsewhere, in a cage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

DEFAULT_LOCALE = "en"
SOURCE_LIMIT = 200_000
"""Characters of one part of a variant."""
PARTS = ("subject", "text", "html")

_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
_DEEPEST = 60
"""Nested blocks and expressions. No message needs as many, and the parser recurses."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What one channel says in one locale. `subject` is a headline in channels that have one, `html` is of email."""

    channel: str
    locale: str
    text: str
    subject: str | None = None
    html: str | None = None


def is_locale(text: str) -> bool:
    """Whether it is a language tag such as `de`, `de-AT`, `zh-Hant-TW` or `es-419` (RFC 5646)."""
    return _LOCALE.fullmatch(text) is not None


def variant_for(variants: Sequence[Variant], channel: str, locale: str, default: str) -> Variant | None:
    """The channel's variant in that locale, else in a less particular one (`de-AT` → `de`), else in the default's line."""
    found = {each.locale: each for each in variants if each.channel == channel}
    for wanted in dict.fromkeys((*_line(locale), *_line(default))):
        if wanted in found:
            return found[wanted]
    return None


def variables(sources: Iterable[str]) -> list[str]:
    """Names that the sources read and do not set themselves. Raises `ValueError` that says what is wrong, and where.

    Only parsed, never compiled: compiling would evaluate constants such as `'a' * 10**9`.
    """
    names: set[str] = set()
    for source in sources:
        tree = _parsed(source)
        found = list(tree.find_all(nodes.Name))
        stored = {each.name for each in found if each.ctx in {"store", "param"}}
        names |= {each.name for each in found if each.ctx == "load"} - stored
    return sorted(
        names - {"range", "dict", "lipsum", "cycler", "joiner", "namespace", "loop", "caller", "varargs", "kwargs"}
    )


def missing(wanted: Iterable[str], data: Mapping[str, Any]) -> list[str]:
    """Variables that the data does not hold."""
    return [name for name in wanted if name not in data]


def _line(locale: str) -> list[str]:
    parts = locale.split("-")
    return ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]


def _parsed(source: str) -> nodes.Template:
    if max(_depths(source), default=0) > _DEEPEST:
        raise ValueError("Is nested too deeply.")
    try:
        tree = ImmutableSandboxedEnvironment().parse(source)
    except TemplateSyntaxError as error:
        raise ValueError(f"Line {error.lineno}: {error.message}") from None
    except (RecursionError, MemoryError, OverflowError):
        raise ValueError("Is nested too deeply.") from None
    if next(tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)), None) is not None:
        raise ValueError("Must not include, import or extend other templates.")
    return tree


def _depths(source: str) -> Iterable[int]:
    depth = 0
    for sign in source:
        depth += (sign in "([{") - (sign in ")]}")
        yield depth

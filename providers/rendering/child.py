"""The process in which tenants' templates are rendered: it has nothing worth stealing and may be killed at any time.

Reads and writes frames of JSON, each behind its length in four bytes. Its environment is empty, its memory bounded, and an
alarm ends it when a request takes too long, also if nobody is left to do so. Run as a program.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import nh3
from jinja2 import StrictUndefined, TemplateError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

LENGTH = struct.Struct(">I")
_ALLOWED_STYLES = {
    "background-color", "border", "border-collapse", "border-radius", "color", "font-family", "font-size", "font-style",
    "font-weight", "height", "line-height", "margin", "max-width", "padding", "text-align", "text-decoration", "vertical-align",
    "width",
}  # fmt: skip
_ATTRIBUTES = {tag: {*names, "style"} for tag, names in nh3.ALLOWED_ATTRIBUTES.items()} | {
    tag: {"style"} for tag in ("p", "div", "span", "h1", "h2", "h3", "h4", "strong", "em", "ul", "ol", "li")
}


class TooLong(Exception):
    """The output has more characters than it may have."""


def main() -> None:
    """Answer requests until the other side closes."""
    reading, writing = sys.stdin.buffer, sys.stdout.buffer
    while (request := _read(reading)) is not None:
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])
        resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"],) * 2)
        answer = json.dumps(_answers(request)).encode()
        signal.setitimer(signal.ITIMER_REAL, 0)
        writing.write(LENGTH.pack(len(answer)) + answer)
        writing.flush()


def _read(stream: BinaryIO) -> Any:
    head = stream.read(LENGTH.size)
    return None if len(head) < LENGTH.size else json.loads(stream.read(LENGTH.unpack(head)[0]))


def _answers(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One answer for each of `contexts`: the rendered parts, or the error. The parts are compiled once."""
    try:
        compiled = {name: _environment(name).from_string(source) for name, source in request["parts"].items()}
    except Exception as error:  # noqa: BLE001  # whatever a template does is an answer
        return [_error(error)] * len(request["contexts"])
    return [_one(compiled, context, request["output_limit"]) for context in request["contexts"]]


def _one(compiled: Mapping[str, Any], context: Mapping[str, Any], limit: int) -> dict[str, Any]:
    try:
        parts = {name: _bounded(template.generate(context), limit) for name, template in compiled.items()}
        if "html" in parts:
            parts["html"] = clean(parts["html"])
    except Exception as error:  # noqa: BLE001  # whatever a template does is an answer
        return _error(error)
    return {"parts": parts}


def _bounded(pieces: Iterable[str], limit: int) -> str:
    kept: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > limit:
            raise TooLong
        kept.append(piece)
    return "".join(kept)


def _environment(part: str) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        autoescape=part == "html", undefined=StrictUndefined, keep_trailing_newline=True, cache_size=0
    )


def _error(error: Exception) -> dict[str, Any]:
    """A code and a sentence; of an unexpected error only its kind, for its words may be the template's."""
    if isinstance(error, UndefinedError):
        return {"code": "template_variable_missing", "detail": str(error)[:300]}
    if isinstance(error, SecurityError):
        return {"code": "template_forbidden", "detail": "The template reaches for what it may not use."}
    if isinstance(error, TooLong):
        return {"code": "template_output_too_large", "detail": "The rendered text is too long."}
    if isinstance(error, (MemoryError, OverflowError)):
        return {"code": "template_too_expensive", "detail": "The template needs too much memory or too many steps."}
    if isinstance(
        error, (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
    ):
        return {"code": "template_invalid", "detail": f"{type(error).__name__}: {str(error)[:300]}"}
    return {"code": "template_invalid", "detail": type(error).__name__}


def clean(html: str) -> str:
    """HTML without scripts, handlers, frames and unknown addresses; what a mail needs stays."""
    return nh3.clean(
        html, attributes=_ATTRIBUTES, url_schemes={"http", "https", "mailto", "tel", "cid"}, link_rel="noopener noreferrer",
        filter_style_properties=_ALLOWED_STYLES,
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""The near side of the rendering processes: a few are kept, one that takes too long or dies is replaced."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from domain.errors import Permanent, Transient
from providers.rendering.child import LENGTH

SECONDS = 2.0
"""What one rendering may take. A batch has a little more for each further context."""
SECONDS_PER_CONTEXT = 0.05
MEMORY_BYTES = 512 * 1024 * 1024
OUTPUT_LIMIT = 500_000
"""Characters of each part."""
_KEPT = 2

_idle: list[_Child] = []
_lock = threading.Lock()
_of_process = os.getpid()


class RenderFailed(Permanent):
    """The template or its data is at fault. The codes are `template_invalid`, `template_variable_missing`,
    `template_forbidden`, `template_too_expensive`, `template_output_too_large` and `invalid_header`.
    """

    def __init__(self, code: str, detail: str):
        super().__init__(detail, code=code)


def render(parts: Mapping[str, str], context: Mapping[str, Any], *, seconds: float = SECONDS) -> dict[str, str]:
    """The rendered parts (`subject`, `text`, `html`, as far as given). HTML is escaped and cleaned. Raises `RenderFailed`."""
    (answer,) = render_many(parts, [context], seconds=seconds)
    if isinstance(answer, RenderFailed):
        raise answer
    return answer


def render_many(
    parts: Mapping[str, str], contexts: Sequence[Mapping[str, Any]], *, seconds: float = SECONDS
) -> list[dict[str, str] | RenderFailed]:
    """The same for many contexts at once, each with its own answer. Raises `RenderFailed` if all took too long together."""
    if not contexts:
        return []
    limit = seconds + SECONDS_PER_CONTEXT * (len(contexts) - 1)
    request = {
        "parts": dict(parts), "contexts": list(contexts), "seconds": limit, "memory_bytes": MEMORY_BYTES,
        "output_limit": OUTPUT_LIMIT,
    }  # fmt: skip
    child = _take()
    try:
        answers = child.ask(json.dumps(request).encode(), limit + 1.0)
    except BaseException:
        child.kill()
        raise
    _give_back(child)
    return [_judged(answer) for answer in answers]


def _judged(answer: Mapping[str, Any]) -> dict[str, str] | RenderFailed:
    if "parts" not in answer:
        return RenderFailed(str(answer["code"]), str(answer["detail"]))
    parts: dict[str, str] = answer["parts"]
    if any(sign in parts.get("subject", "") for sign in "\r\n\0"):
        return RenderFailed("invalid_header", "The rendered subject holds a line break.")
    return parts


class _Child:
    """One process. It is started with an empty environment and open files of its own only."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("child.py")
        self._process = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-I", str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={}, close_fds=True, start_new_session=True, bufsize=0,
        )  # fmt: skip

    def ask(self, request: bytes, seconds: float) -> list[dict[str, Any]]:
        """Raises `RenderFailed` when the child was too slow or died of the request."""
        ends = time.monotonic() + seconds + _START_SECONDS
        try:
            self._write(LENGTH.pack(len(request)) + request, ends)
            length = LENGTH.unpack(self._read(LENGTH.size, ends))[0]
            answers: list[dict[str, Any]] = json.loads(self._read(length, ends))
        except (EOFError, BrokenPipeError):
            raise RenderFailed("template_too_expensive", "The template took too long or too much memory.") from None
        except TimeoutError:
            raise Transient("The renderer did not answer.", code="renderer_unavailable") from None
        return answers

    def kill(self) -> None:
        """End the process and forget it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def _write(self, data: bytes, ends: float) -> None:
        descriptor = _number(self._process.stdin)
        os.set_blocking(descriptor, False)
        view = memoryview(data)
        while view:
            _, ready, _ = select.select([], [descriptor], [], _left(ends))
            if not ready:
                raise TimeoutError
            view = view[os.write(descriptor, view[:65_536]) :]

    def _read(self, length: int, ends: float) -> bytes:
        descriptor = _number(self._process.stdout)
        kept = bytearray()
        while len(kept) < length:
            ready, _, _ = select.select([descriptor], [], [], _left(ends))
            if not ready:
                raise TimeoutError
            piece = os.read(descriptor, min(1_048_576, length - len(kept)))
            if not piece:
                raise EOFError
            kept += piece
        return bytes(kept)


_START_SECONDS = 20.0
"""A machine under load takes this long to start a process; the child's own clock begins with the request."""


def _take() -> _Child:
    global _of_process  # noqa: PLW0603 - a fork must not share its parent's children
    with _lock:
        if _of_process != os.getpid():
            _idle.clear()
            _of_process = os.getpid()
        while _idle:
            child = _idle.pop()
            if child.alive:
                return child
            child.kill()
    return _Child()


def _give_back(child: _Child) -> None:
    with _lock:
        if len(_idle) < _KEPT and _of_process == os.getpid():
            _idle.append(child)
            return
    child.kill()


def _number(pipe: Any) -> int:
    descriptor: int = pipe.fileno()
    return descriptor


def _left(ends: float) -> float:
    return max(0.0, ends - time.monotonic())


def close() -> None:
    """End this process's idle renderers, as at its end."""
    with _lock:
        while _idle and _of_process == os.getpid():
            _idle.pop().kill()


atexit.register(close)

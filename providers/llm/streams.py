"""Reading a vendor's stream of server-sent events, and what it means that one breaks off.

Source of the format: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from domain.errors import JobError, Transient
from providers.llm.answers import Answer
from providers.llm.base import CompletionResponse, Interrupted
from providers.llm.failures import timed_out, unreachable

Heard = Callable[[str], None]
"""Gets each piece of the text as it comes. What it raises ends the call."""


def events(provider: str, lines: Iterable[str]) -> Iterator[Answer]:
    """The JSON objects of the stream's events; ends at OpenAI's `[DONE]` or with the connection."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            whole, data = "\n".join(data), []
            if whole == "[DONE]":
                return
            yield Answer.parse(provider, whole.encode())


@contextmanager
def interruption(provider: str, partial: Callable[[], CompletionResponse | None]) -> Iterator[None]:
    """Say of what breaks a stream off how far it came: `Interrupted` once the model has begun to answer.

    `partial` is the answer so far, or None while there is none. Raises what came before unchanged.
    """
    import httpx2

    try:
        yield
    except (JobError, httpx2.TransportError) as raised:
        if isinstance(raised, JobError):
            error = raised
        elif isinstance(raised, httpx2.TimeoutException):
            error = timed_out(provider)
        else:
            error = unreachable(provider)
        so_far = partial()
        if so_far is None:
            raise error from raised
        raise Interrupted(error, so_far) from raised


def cut_off(provider: str) -> Transient:
    """The stream ended without its end."""
    return Transient(f"{provider} broke its answer off.", code="provider_stream_cut")

"""Anthropic's messages.

Source: https://docs.claude.com/en/api/messages. The API has no idempotency key: a repeated completion is paid for twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from domain.errors import JobError, Permanent
from providers.llm.answers import Answer
from providers.llm.base import (
    ANYWHERE,
    CompletionRequest,
    CompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
    Usage,
)
from providers.llm.failures import failure, malformed, timed_out, unreachable
from providers.llm.http import http_client, timeouts
from providers.llm.streams import Heard, cut_off, events, interruption
from providers.llm.tokens import estimated_usage

ANTHROPIC_URL = "https://api.anthropic.com"

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "tool_use": "tool_calls",
}


_STATUSES = {"overloaded_error": 529, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504}
"""What an error within a stream would have been as an answer; its status was sent before it happened."""


class AnthropicCompletionProvider:
    """The official SDK against `base_url`, without its retries."""

    name = "anthropic"

    def __init__(self, *, api_key: str, base_url: str):
        import anthropic

        self._api_key = api_key
        self._client = anthropic.Anthropic(
            api_key=api_key, base_url=base_url, max_retries=0, http_client=http_client(ANYWHERE)
        )

    def close(self) -> None:
        """Close its connections, those in use when their calls are over."""
        self._client.close()

    def complete(self, request: CompletionRequest) -> CompletionResponse:
        """One message; raises as `CompletionProvider.complete` says."""
        with self._failures():
            # The raw response: the SDK's lenient models would pass half an answer on.
            raw = self._client.messages.with_raw_response.create(**self._asked(request))
            content = bytes(raw.http_response.content)
        return _response(self.name, request, Answer.parse(self.name, content))

    def stream(self, request: CompletionRequest, heard: Heard) -> CompletionResponse:
        """One message in pieces; raises as `CompletionProvider.stream` says."""
        so_far = _Streamed(self.name, request)
        with (
            interruption(self.name, so_far.partial),
            self._failures(),
            self._client.messages.with_streaming_response.create(**self._asked(request), stream=True) as raw,
        ):
            for event in events(self.name, raw.iter_lines()):
                piece = so_far.add(event)
                if piece:
                    heard(piece)
            return so_far.whole()

    def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Anthropic has no embeddings. Raises `Permanent`."""
        raise Permanent(
            f"anthropic has no embeddings; {request.model} belongs to another.", code="provider_not_supported"
        )

    def _asked(self, request: CompletionRequest) -> dict[str, Any]:
        import anthropic

        system = "\n\n".join(message.content for message in request.messages if message.role == "system")
        return {
            "model": request.model,
            "max_tokens": request.max_tokens,
            "messages": [
                {"role": message.role, "content": message.content}
                for message in request.messages
                if message.role != "system"
            ],
            "system": system or anthropic.omit,
            "timeout": timeouts(request.timeout),
            # The SDK has no name for it: older models take it, newer ones refuse it, and say so.
            "extra_body": None if request.temperature is None else {"temperature": request.temperature},
        }

    @contextmanager
    def _failures(self) -> Iterator[None]:
        import anthropic

        try:
            yield
        except anthropic.APIError as error:
            raise self._failure(error) from error

    def _failure(self, error: Any) -> JobError:
        import anthropic

        if isinstance(error, anthropic.APITimeoutError):
            return timed_out(self.name)
        if isinstance(error, anthropic.APIStatusError):
            codes = frozenset(str(word) for word in (error.type, error.error_code) if word)
            message = error.api_message or error.message
            return failure(self.name, error.status_code, codes, message, error.response.headers, self._api_key)
        if isinstance(error, anthropic.APIConnectionError):
            return unreachable(self.name)
        return malformed(self.name)


class _Streamed:
    """A message as its events add up to it."""

    def __init__(self, name: str, request: CompletionRequest):
        self._name = name
        self._request = request
        self._pieces: list[str] = []
        self._model = request.model
        self._id = ""
        self._reason: str | None = None
        self._asked: Usage | None = None
        self._answered: int | None = None

    def add(self, event: Answer) -> str:
        """Take an event in; returns its piece of the text. Raises for the vendor's own error."""
        kind = event.text("type")
        if kind == "error":
            said = event.part("error")
            status = _STATUSES.get(said.text("type"), 500)
            raise failure(
                self._name, status, frozenset({said.text("type")}), said.optional_text("message") or "", {}, ""
            )
        if kind == "message_start":
            message = event.part("message")
            self._id, self._model = message.text("id"), message.optional_text("model") or self._model
            reported = message.optional_part("usage")
            self._asked = None if reported is None else _usage(reported)
        elif kind == "message_delta":
            self._reason = event.part("delta").optional_text("stop_reason") or self._reason
            reported = event.optional_part("usage")
            self._answered = self._answered if reported is None else reported.count("output_tokens")
        elif kind == "content_block_delta" and event.part("delta").text("type") == "text_delta":
            self._pieces.append(event.part("delta").text("text"))
            return self._pieces[-1]
        return ""

    def whole(self) -> CompletionResponse:
        """The message. Raises `Transient` if it has no end."""
        if self._reason is None:
            raise cut_off(self._name)
        return self._answer(_FINISH_REASONS.get(self._reason, self._reason))

    def partial(self) -> CompletionResponse | None:
        """The message so far, if it has begun."""
        return self._answer("interrupted") if self._pieces else None

    def _answer(self, reason: str) -> CompletionResponse:
        text = "".join(self._pieces)
        usage = estimated_usage(self._request.messages, text)
        if self._asked is not None:
            counted = self._answered is not None
            usage = Usage(
                self._asked.input_tokens,
                self._asked.cached_input_tokens,
                self._answered if self._answered is not None else usage.output_tokens,
                "reported" if counted else "estimated",
            )
        return CompletionResponse(self._name, self._model, text, reason, usage, self._id)


def _response(name: str, request: CompletionRequest, answer: Answer) -> CompletionResponse:
    text = "".join(block.text("text") for block in answer.parts("content") if block.text("type") == "text")
    reason = answer.optional_text("stop_reason") or "unknown"
    reported = answer.optional_part("usage")
    return CompletionResponse(
        provider=name,
        model=answer.optional_text("model") or request.model,
        text=text,
        finish_reason=_FINISH_REASONS.get(reason, reason),
        usage=estimated_usage(request.messages, text) if reported is None else _usage(reported),
        response_id=answer.text("id"),
    )


def _usage(reported: Answer) -> Usage:
    """Anthropic counts what was read from and written to its cache beside `input_tokens`, so the total is their sum."""
    cached = reported.count("cache_read_input_tokens")
    total = reported.count("input_tokens") + cached + reported.count("cache_creation_input_tokens")
    return Usage(total, cached, reported.count("output_tokens"), "reported")

"""Anthropic's messages.

Source: https://docs.claude.com/en/api/messages. The API has no idempotency key: a repeated completion is paid for twice.
"""

from __future__ import annotations

from typing import Any

from domain.errors import JobError
from providers.llm.answers import Answer
from providers.llm.base import ANYWHERE, CompletionRequest, CompletionResponse, Usage
from providers.llm.failures import failure, malformed, timed_out, unreachable
from providers.llm.http import http_client, timeouts
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
        return _response(self.name, request, Answer.parse(self.name, self._call(request)))

    def _call(self, request: CompletionRequest) -> bytes:
        import anthropic

        system = "\n\n".join(message.content for message in request.messages if message.role == "system")
        turns: Any = [
            {"role": message.role, "content": message.content}
            for message in request.messages
            if message.role != "system"
        ]
        try:
            # The raw response: the SDK's lenient models would pass half an answer on.
            raw = self._client.messages.with_raw_response.create(
                model=request.model,
                max_tokens=request.max_tokens,
                messages=turns,
                system=system or anthropic.omit,
                timeout=timeouts(request.timeout),
                # The SDK has no name for it: older models take it, newer ones refuse it, and say so.
                extra_body=None if request.temperature is None else {"temperature": request.temperature},
            )
            return bytes(raw.http_response.content)
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

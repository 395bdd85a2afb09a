"""OpenAI's chat completions, and every server that speaks them: vLLM, Ollama, gateways.

Source: https://platform.openai.com/docs/api-reference/chat/create. We send `Idempotency-Key`, which gateways use to
answer a repeated request from memory; OpenAI does not promise to, so a repeated completion may be paid for twice.
"""

from __future__ import annotations

from typing import Any

from domain.errors import JobError
from providers.llm.answers import Answer
from providers.llm.base import ANYWHERE, CompletionRequest, CompletionResponse, Reach, Usage
from providers.llm.failures import failure, malformed, timed_out, unreachable
from providers.llm.http import http_client, timeouts
from providers.llm.tokens import estimated_usage

OPENAI_URL = "https://api.openai.com/v1"


class OpenAICompletionProvider:
    """`name` is `openai`, or `openai_compatible` for another server at `base_url`."""

    def __init__(self, name: str, *, api_key: str, base_url: str, reach: Reach = ANYWHERE):
        import openai

        self.name = name
        self._api_key = api_key
        self._client = openai.OpenAI(
            # A server that needs no key still needs some: the SDK would else take one from the environment.
            api_key=api_key or "none",
            base_url=base_url,
            max_retries=0,
            http_client=http_client(reach),
        )

    def close(self) -> None:
        """Close its connections, those in use when their calls are over."""
        self._client.close()

    def complete(self, request: CompletionRequest) -> CompletionResponse:
        """One chat completion; raises as `CompletionProvider.complete` says."""
        return _response(self.name, request, Answer.parse(self.name, self._call(request)))

    def _call(self, request: CompletionRequest) -> bytes:
        import openai

        compatible = self.name == "openai_compatible"
        try:
            # The raw response: the SDK's lenient models would pass half an answer on.
            raw = self._client.chat.completions.with_raw_response.create(
                model=request.model,
                messages=[_message(message.role, message.content) for message in request.messages],
                temperature=openai.omit if request.temperature is None else request.temperature,
                # OpenAI's newer models refuse the old name, which is the only one that other servers all know.
                max_completion_tokens=openai.omit if compatible else request.max_tokens,
                max_tokens=request.max_tokens if compatible else openai.omit,
                timeout=timeouts(request.timeout),
                extra_headers={
                    "Idempotency-Key": request.idempotency_key,
                    # From the operator's environment; a tenant's account is another.
                    "OpenAI-Organization": openai.omit,
                    "OpenAI-Project": openai.omit,
                },
            )
            return bytes(raw.http_response.content)
        except openai.APIError as error:
            raise self._failure(error) from error

    def _failure(self, error: Any) -> JobError:
        import openai

        if isinstance(error.__cause__, JobError):  # of the network: the address may not be reached
            return error.__cause__
        if isinstance(error, openai.APITimeoutError):
            return timed_out(self.name)
        if isinstance(error, openai.APIStatusError):
            codes = frozenset(str(word) for word in (error.code, error.type) if word)
            return failure(self.name, error.status_code, codes, error.message, error.response.headers, self._api_key)
        if isinstance(error, openai.APIConnectionError):
            return unreachable(self.name)
        return malformed(self.name)


def _message(role: str, content: str) -> Any:
    return {"role": role, "content": content}


def _response(name: str, request: CompletionRequest, answer: Answer) -> CompletionResponse:
    choices = answer.parts("choices")
    if not choices:
        raise malformed(name)
    message = choices[0].part("message")
    text = message.optional_text("content") or message.optional_text("refusal") or ""
    reported = answer.optional_part("usage")
    return CompletionResponse(
        provider=name,
        model=answer.optional_text("model") or request.model,
        text=text,
        finish_reason=choices[0].optional_text("finish_reason") or "unknown",
        usage=estimated_usage(request.messages, text) if reported is None else _usage(reported),
        response_id=answer.optional_text("id") or "",
    )


def _usage(reported: Answer) -> Usage:
    """The cached tokens are a subset of `prompt_tokens`."""
    details = reported.optional_part("prompt_tokens_details")
    return Usage(
        input_tokens=reported.count("prompt_tokens"),
        cached_input_tokens=0 if details is None else details.count("cached_tokens"),
        output_tokens=reported.count("completion_tokens"),
        source="reported",
    )

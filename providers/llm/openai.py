"""OpenAI's chat completions, and every server that speaks them: vLLM, Ollama, gateways.

Source: https://platform.openai.com/docs/api-reference/chat/create. We send `Idempotency-Key`, which gateways use to
answer a repeated request from memory; OpenAI does not promise to, so a repeated completion may be paid for twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from domain.errors import JobError
from providers.llm.answers import Answer
from providers.llm.base import (
    ANYWHERE,
    CompletionRequest,
    CompletionResponse,
    EmbeddingRequest,
    EmbeddingResponse,
    Reach,
    Usage,
)
from providers.llm.failures import failure, malformed, timed_out, unreachable
from providers.llm.http import http_client, timeouts
from providers.llm.streams import Heard, cut_off, events, interruption
from providers.llm.tokens import estimated_tokens, estimated_usage

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
        with self._failures():
            # The raw response: the SDK's lenient models would pass half an answer on.
            raw = self._client.chat.completions.with_raw_response.create(**self._asked(request))
            content = bytes(raw.http_response.content)
        return _response(self.name, request, Answer.parse(self.name, content))

    def stream(self, request: CompletionRequest, heard: Heard) -> CompletionResponse:
        """One chat completion in pieces; raises as `CompletionProvider.stream` says."""
        so_far = _Streamed(self.name, request)
        with (
            interruption(self.name, so_far.partial),
            self._failures(),
            self._client.chat.completions.with_streaming_response.create(
                **self._asked(request), stream=True, stream_options={"include_usage": True}
            ) as raw,
        ):
            for chunk in events(self.name, raw.iter_lines()):
                piece = so_far.add(chunk)
                if piece:
                    heard(piece)
            return so_far.whole()

    def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Vectors of `text-embedding-…` models and their like."""
        import openai

        with self._failures():
            raw = self._client.embeddings.with_raw_response.create(
                model=request.model,
                input=list(request.texts),
                encoding_format="float",
                dimensions=openai.omit if request.dimensions is None else request.dimensions,
                timeout=timeouts(request.timeout),
                extra_headers=_own_account(openai.omit),
            )
            content = bytes(raw.http_response.content)
        return _vectors(self.name, request, Answer.parse(self.name, content))

    def _asked(self, request: CompletionRequest) -> dict[str, Any]:
        import openai

        # OpenAI's newer models refuse the old name, which is the only one that other servers all know.
        bound = "max_tokens" if self.name == "openai_compatible" else "max_completion_tokens"
        return {
            "model": request.model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "temperature": openai.omit if request.temperature is None else request.temperature,
            bound: request.max_tokens,
            "timeout": timeouts(request.timeout),
            "extra_headers": {"Idempotency-Key": request.idempotency_key, **_own_account(openai.omit)},
        }

    @contextmanager
    def _failures(self) -> Iterator[None]:
        import openai

        try:
            yield
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


def _own_account(omit: Any) -> dict[str, Any]:
    """Headers that the SDK would take from the operator's environment; a tenant's account is another."""
    return {"OpenAI-Organization": omit, "OpenAI-Project": omit}


class _Streamed:
    """An answer as its chunks add up to it."""

    def __init__(self, name: str, request: CompletionRequest):
        self._name = name
        self._request = request
        self._pieces: list[str] = []
        self._model = request.model
        self._id = ""
        self._reason: str | None = None
        self._usage: Usage | None = None

    def add(self, chunk: Answer) -> str:
        """Take a chunk in; returns its piece of the text."""
        if chunk.optional_part("error") is not None:
            raise cut_off(self._name)
        self._model = chunk.optional_text("model") or self._model
        self._id = chunk.optional_text("id") or self._id
        reported = chunk.optional_part("usage")
        if reported is not None:
            self._usage = _usage(reported)
        choices = chunk.parts("choices")
        if not choices:
            return ""
        self._reason = choices[0].optional_text("finish_reason") or self._reason
        delta = choices[0].part("delta")
        piece = delta.optional_text("content") or delta.optional_text("refusal") or ""
        if piece:
            self._pieces.append(piece)
        return piece

    def whole(self) -> CompletionResponse:
        """The answer. Raises `Transient` if it has no end."""
        if self._reason is None:
            raise cut_off(self._name)
        return self._answer(self._reason)

    def partial(self) -> CompletionResponse | None:
        """The answer so far, if it has begun."""
        return self._answer("interrupted") if self._pieces else None

    def _answer(self, reason: str) -> CompletionResponse:
        text = "".join(self._pieces)
        usage = self._usage or estimated_usage(self._request.messages, text)
        return CompletionResponse(self._name, self._model, text, reason, usage, self._id)


def _vectors(name: str, request: EmbeddingRequest, answer: Answer) -> EmbeddingResponse:
    found = sorted(answer.parts("data"), key=lambda each: each.count("index"))
    if len(found) != len(request.texts):
        raise malformed(name)
    reported = answer.optional_part("usage")
    tokens = estimated_tokens(request.texts) if reported is None else reported.count("prompt_tokens")
    return EmbeddingResponse(
        provider=name,
        model=answer.optional_text("model") or request.model,
        vectors=tuple(each.numbers("embedding") for each in found),
        usage=Usage(tokens, 0, 0, "estimated" if reported is None else "reported"),
    )


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

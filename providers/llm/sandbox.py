"""Completions without a vendor, for development. Every answer says that it is one of these."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable

from providers.llm.base import CompletionRequest, CompletionResponse, EmbeddingRequest, EmbeddingResponse, Usage
from providers.llm.tokens import BYTES_PER_TOKEN, estimate_tokens, estimated_tokens, estimated_usage

SANDBOX_MODEL = "sandbox"
SANDBOX_DIMENSIONS = 256
_LABEL = "[sandbox: no language model was called]"


class SandboxCompletionProvider:
    """Deterministic: the same request gives the same answer. It calls nobody and costs nothing."""

    name = "sandbox"

    def complete(self, request: CompletionRequest) -> CompletionResponse:
        """An answer that repeats the last user message, cut at `max_tokens` behind its label. Raises nothing."""
        asked = next((message.content for message in reversed(request.messages) if message.role == "user"), "")
        answer = f"You asked {request.model}: {asked}"
        kept = answer.encode("utf-8", "replace")[: request.max_tokens * BYTES_PER_TOKEN].decode("utf-8", "ignore")
        text = f"{_LABEL} {kept}"
        seen = json.dumps([request.model, *((message.role, message.content) for message in request.messages)])
        return CompletionResponse(
            provider=self.name,
            model=SANDBOX_MODEL,
            text=text,
            finish_reason="stop" if estimate_tokens(answer) <= request.max_tokens else "length",
            usage=estimated_usage(request.messages, text),
            response_id=f"sandbox-{hashlib.sha256(seen.encode('utf-8', 'replace')).hexdigest()[:24]}",
            sandbox=True,
        )

    def stream(self, request: CompletionRequest, heard: Callable[[str], None]) -> CompletionResponse:
        """The same answer, word by word."""
        response = self.complete(request)
        for number, word in enumerate(response.text.split(" ")):
            heard(word if number == 0 else f" {word}")
        return response

    def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Unit vectors that share nothing but being the same for the same text."""
        size = request.dimensions or SANDBOX_DIMENSIONS
        vectors = tuple(_vector(text, size) for text in request.texts)
        return EmbeddingResponse(
            self.name, SANDBOX_MODEL, vectors, Usage(estimated_tokens(request.texts), 0, 0, "estimated"), sandbox=True
        )

    def close(self) -> None:
        """Has no connections."""


def _vector(text: str, size: int) -> tuple[float, ...]:
    """From the text's hash, so that it means nothing and is always the same."""
    seed = hashlib.shake_256(text.encode("utf-8", "replace")).digest(2 * size)
    numbers = [int.from_bytes(seed[at : at + 2]) / 32767.5 - 1.0 for at in range(0, 2 * size, 2)]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return tuple(number / length for number in numbers)

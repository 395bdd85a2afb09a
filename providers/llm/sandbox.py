"""Completions without a vendor, for development. Every answer says that it is one of these."""

from __future__ import annotations

import hashlib
import json

from providers.llm.base import CompletionRequest, CompletionResponse
from providers.llm.tokens import BYTES_PER_TOKEN, estimate_tokens, estimated_usage

SANDBOX_MODEL = "sandbox"
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

    def close(self) -> None:
        """Has no connections."""

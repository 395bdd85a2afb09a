"""The wire formats of OpenAI's chat completions and Anthropic's messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from providers.llm.anthropic import AnthropicCompletionProvider
from providers.llm.base import CompletionProvider
from providers.llm.openai import OpenAICompletionProvider

KEY = "sk-test-0123456789abcdef"


@dataclass(frozen=True)
class Vendor:
    """How one vendor is spoken to: the path, an answer, and an error with a cause in the vendor's own words."""

    name: str
    path: str
    provider: Callable[[str], CompletionProvider]
    answer: dict[str, Any]
    error: Callable[[str, str], dict[str, Any]]


OPENAI = Vendor(
    name="openai",
    path="/v1/chat/completions",
    provider=lambda url: OpenAICompletionProvider("openai", api_key=KEY, base_url=f"{url}/v1"),
    answer={
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_900_000_000,
        "model": "gpt-5-mini-2025-08-07",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello, Ada."}}],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 7,
            "total_tokens": 107,
            "prompt_tokens_details": {"cached_tokens": 40},
        },
    },
    error=lambda code, message: {"error": {"message": message, "type": code, "code": code, "param": None}},
)

COMPATIBLE = Vendor(
    name="openai_compatible",
    path="/v1/chat/completions",
    provider=lambda url: OpenAICompletionProvider("openai_compatible", api_key=KEY, base_url=f"{url}/v1"),
    answer=OPENAI.answer,
    error=OPENAI.error,
)

ANTHROPIC = Vendor(
    name="anthropic",
    path="/v1/messages",
    provider=lambda url: AnthropicCompletionProvider(api_key=KEY, base_url=url),
    answer={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "thinking", "thinking": "…", "signature": "x"}, {"type": "text", "text": "Hello, Ada."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 50,
            "cache_read_input_tokens": 40,
            "cache_creation_input_tokens": 10,
            "output_tokens": 7,
        },
    },
    error=lambda code, message: {"type": "error", "error": {"type": code, "message": message}},
)

VENDORS = [OPENAI, COMPATIBLE, ANTHROPIC]

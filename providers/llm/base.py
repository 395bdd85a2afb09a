"""What a completion provider takes and gives back, whoever the vendor is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from domain.destinations import Network
from domain.errors import JobError, Transient

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """`max_tokens` bounds the answer. `idempotency_key` is derived from the job and the same for its every attempt.

    `timeout` bounds the call as a whole, in seconds.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    idempotency_key: str
    temperature: float | None = None
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens: `input_tokens` is the total, and `cached_input_tokens` the part of it that was read from a cache.

    `source` says whether the provider counted or we estimated.
    """

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    source: Literal["reported", "estimated"]


@dataclass(frozen=True, slots=True)
class CompletionResponse:
    """`model` is the one that answered. `finish_reason`: `stop length content_filter tool_calls`, or the vendor's own
    word where it fits none of these. `sandbox` is true where no model was called."""

    provider: str
    model: str
    text: str
    finish_reason: str
    usage: Usage
    response_id: str
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to be placed in a space of meaning, at most as many as the vendor takes at once. `timeout` in seconds."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class EmbeddingResponse:
    """One vector for each text, in their order."""

    provider: str
    model: str
    vectors: tuple[tuple[float, ...], ...]
    usage: Usage
    sandbox: bool = False


class Interrupted(Transient):
    """A stream that broke off after the model had begun to answer. `partial` is what came until then; it was paid for."""

    def __init__(self, cause: JobError, partial: CompletionResponse):
        super().__init__(cause.detail, code=cause.job_code, retry_after=cause.retry_after)
        self.cause = cause
        self.partial = partial


@dataclass(frozen=True, slots=True)
class Reach:
    """Which addresses a client may connect to. `judged` is for a server that a tenant named: of private networks it reaches
    those alone that the operator lists in `allowed`. Vendors, and what the operator set, are not judged.
    """

    judged: bool = False
    allowed: tuple[Network, ...] = ()


ANYWHERE = Reach()


class CompletionProvider(Protocol):
    """A completion is safe to repeat: a second call costs money and changes nothing else."""

    @property
    def name(self) -> str: ...

    def complete(self, request: CompletionRequest) -> CompletionResponse:
        """One completion, tried once. May be called by many threads at once.

        Raises `RateLimited` (with the wait that the provider asks for, if it says), `Transient`
        (`provider_unavailable`, `provider_unreachable`, `provider_timeout`, `provider_malformed_response`,
        `provider_circuit_open`) or `Permanent` (`provider_unauthorized`, `provider_quota_exhausted`,
        `provider_rejected`).
        """
        ...

    def stream(self, request: CompletionRequest, heard: Callable[[str], None]) -> CompletionResponse:
        """As `complete`, with each piece of the text given to `heard` as it comes.

        Raises `Interrupted` besides, for an answer that broke off.
        """
        ...

    def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """A vector for each text, tried once. Raises as `complete`, and `Permanent` (`provider_not_supported`) where the
        vendor has no embeddings.
        """
        ...

    def close(self) -> None:
        """Close its connections, those in use when their calls are over."""
        ...

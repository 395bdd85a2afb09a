"""A tenant's configuration of completions, as it is kept sealed: its targets in their order, and its limits by the minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from domain.completions.routing import Target


@dataclass(frozen=True, slots=True)
class LlmConfig:
    """The first target serves, the others in their order when it cannot. Limits count what begins in a minute; None is no limit."""

    targets: tuple[Target, ...] = (Target("nexus"),)
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def kept(self) -> dict[str, Any]:
        """As plain JSON, secrets included: to be sealed."""
        return asdict(self)


def read_config(kept: Mapping[str, Any], provider: str, api_key: str | None) -> LlmConfig:
    """The configuration from what was kept; from the one provider and key where an older version kept only these."""
    if not kept:
        return LlmConfig((Target(provider, api_key=api_key),))
    return LlmConfig(
        targets=tuple(Target(**target) for target in kept["targets"]),
        requests_per_minute=kept["requests_per_minute"],
        tokens_per_minute=kept["tokens_per_minute"],
    )

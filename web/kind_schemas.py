"""Kinds of job as clients see them, with the JSON Schema of each payload."""

from __future__ import annotations

from functools import cache
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from jobs.kinds import KINDS, Kind


def describe(kind: Kind) -> dict[str, Any]:
    """What a client needs to know to submit a job of a public kind, in the form of `KindSchema`."""
    return {
        "name": kind.name,
        "queue": kind.queue,
        "permission": kind.permission,
        "priority": kind.priority,
        "max_attempts": kind.retry.max_attempts,
        "deadline_seconds": kind.deadline.total_seconds(),
        "retention_seconds": kind.retention.total_seconds(),
        "payload_schema": payload_schema(kind.name),
    }


@cache
def payload_schema(name: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a kind's payload, whole in itself: nested schemas stand under `$defs`."""
    spec = APISpec("kinds", "1", "3.1.0", plugins=[MarshmallowPlugin()])
    spec.components.schema("Payload", schema=KINDS[name].payload)
    schemas: dict[str, Any] = _within(spec.to_dict()["components"]["schemas"])
    root = schemas.pop("Payload")
    return {**root, "additionalProperties": False, **({"$defs": schemas} if schemas else {})}


def _within(value: Any) -> Any:
    """The same value with references into `$defs` instead of an OpenAPI document."""
    if isinstance(value, dict):
        return {
            key: inner.replace("#/components/schemas/", "#/$defs/") if key == "$ref" else _within(inner)
            for key, inner in value.items()
        }
    return [_within(inner) for inner in value] if isinstance(value, list) else value

"""Whether the platform lives and is ready: each part with its state and age."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString
from urllib.parse import urlsplit

import redis
from flask import current_app
from flask_smorest import Blueprint
from marshmallow import fields, validate

from config.settings import Settings
from jobs.backlog import DEAF_SECONDS, LIVE_SECONDS
from jobs.kinds import QUEUES
from tenancy.access import Tenancy
from tenancy.scopes import operator_scope
from web.auth import public
from web.context import tenancy
from web.errors import DATABASE_AWAY
from web.schemas.base import Schema

LEADER_SECONDS = 5.0
CONNECT_SECONDS = 1.0
AMQP_HEADER, AMQP_METHOD = b"AMQP\x00\x00\x09\x01", b"\x01"
"""What a client says first, and the type of the frame that the server answers with."""

blueprint = Blueprint("health", __name__, description="Whether the platform lives, for those who watch over it")

_STATE: LiteralString = """
SELECT (SELECT extract(epoch FROM now() - heartbeat_at)::float8 FROM leaders WHERE role = 'dispatcher') AS leader_age,
       ARRAY(SELECT name FROM dispatch_pauses WHERE scope = 'queue') AS paused,
       ARRAY(SELECT queue FROM queue_backlogs
              WHERE unclaimed_since <= measured_at - %(deaf)s * interval '1 second') AS deaf,
       (SELECT jsonb_agg(jsonb_build_array(queues, slots, extract(epoch FROM now() - heartbeat_at)))
          FROM workers WHERE NOT stopping AND heartbeat_at > now() - %(seconds)s * interval '1 second') AS workers
"""


@dataclass(frozen=True, slots=True)
class EngineState:
    """What the platform database tells of the engine. `leader_age` is in seconds, None if there never was a leader.

    `slots`, `workers` (how many) and `worker_ages` are by queue. `deaf` are queues whose workers live and claim nothing.
    """

    leader_age: float | None
    slots: Mapping[str, int]
    workers: Mapping[str, int]
    worker_ages: Mapping[str, float]
    paused: frozenset[str]
    deaf: frozenset[str]


class PartSchema(Schema):
    """One part. `age_seconds` says how old its last sign of life is, where it gives one."""

    state = fields.String(required=True, validate=validate.OneOf(["up", "down", "unknown"]), metadata={"example": "up"})
    required = fields.Boolean(required=True, metadata={"description": "Whether readiness depends on it."})
    age_seconds = fields.Float(required=True, allow_none=True, metadata={"example": 0.4})
    slots = fields.Integer(metadata={"description": "Of a queue: how many jobs can run at once.", "example": 16})
    paused = fields.Boolean(metadata={"description": "Of a queue: whether operators hold it back.", "example": False})
    problem = fields.String(
        validate=validate.OneOf(["no_workers", "no_claims"]),
        metadata={
            "description": "Of a queue that is down: no worker lives, or workers live, are free, and claimed nothing of what "
            "was dispatched to them for 30 seconds.",
            "example": "no_claims",
        },
    )


class ReadinessSchema(Schema):
    """Ready while every required part is up. Parts named `workers:<queue>` stand for the workers of a queue."""

    status = fields.String(required=True, validate=validate.OneOf(["ready", "unready"]), metadata={"example": "ready"})
    parts = fields.Dict(keys=fields.String(), values=fields.Nested(PartSchema), required=True)


class LivenessSchema(Schema):
    """The process answers."""

    status = fields.String(required=True, metadata={"example": "alive"})


@blueprint.route("/health", methods=["GET"])
@public
@blueprint.response(200, LivenessSchema)
def live() -> dict[str, str]:
    """Tell that the process lives."""
    return {"status": "alive"}


@blueprint.route("/health/ready", methods=["GET"])
@public
@blueprint.response(200, ReadinessSchema)
@blueprint.alt_response(503, schema=ReadinessSchema, description="A required part is down.")
def ready() -> tuple[dict[str, Any], int]:
    """Tell whether requests can be served, and how each part is."""
    door = tenancy()
    parts = {"platform_database": part("down"), "broker": _broker(door.settings), **_engine(door)}
    parts["storage"] = part("up" if _has_storage(door.settings) else "down", required=False)
    if any(name.startswith("workers:") and each["state"] != "unknown" for name, each in parts.items()):
        parts["platform_database"] = part("up")
    is_ready = all(each["state"] == "up" for each in parts.values() if each["required"])
    return {"status": "ready" if is_ready else "unready", "parts": parts}, 200 if is_ready else 503


def part(state: str, age: float | None = None, *, required: bool = True, **more: int | str) -> dict[str, Any]:
    """One part in the form of `PartSchema`; ages in seconds."""
    return {"state": state, "required": required, "age_seconds": None if age is None else round(age, 3), **more}


def engine_state(door: Tenancy) -> EngineState:
    """Leader, workers and what is held back, in one round trip. Raises what a database raises that is away."""
    row = door.platform.fetch(_STATE, {"seconds": LIVE_SECONDS, "deaf": DEAF_SECONDS}, operator_scope())[0]
    slots, workers = dict.fromkeys(QUEUES, 0), dict.fromkeys(QUEUES, 0)
    ages: dict[str, float] = {}
    for queues, count, age in row["workers"] or ():
        for queue in queues:
            slots[queue] = slots.get(queue, 0) + count
            workers[queue] = workers.get(queue, 0) + 1
            ages[queue] = min(float(age), ages.get(queue, float(age)))
    paused = frozenset(row["paused"])
    return EngineState(row["leader_age"], slots, workers, ages, paused, frozenset(row["deaf"]) - paused)


def _engine(door: Tenancy) -> dict[str, dict[str, Any]]:
    try:
        state = engine_state(door)
    except DATABASE_AWAY:
        return {"dispatcher": part("unknown"), **{f"workers:{queue}": part("unknown") for queue in QUEUES}}
    leads = state.leader_age is not None and state.leader_age <= LEADER_SECONDS
    return {
        "dispatcher": part("up" if leads else "down", state.leader_age),
        **{f"workers:{queue}": _workers(state, queue) for queue in state.slots},
    }


def _workers(state: EngineState, queue: str) -> dict[str, Any]:
    """Workers are judged by what they do: a queue whose free workers claim nothing is as good as one without workers."""
    slots, age, paused = state.slots[queue], state.worker_ages.get(queue), queue in state.paused
    if not slots:
        return part("down", age, slots=slots, paused=paused, problem="no_workers")
    if queue in state.deaf:
        return part("down", age, slots=slots, paused=paused, problem="no_claims")
    return part("up", age, slots=slots, paused=paused)


def _broker(settings: Settings) -> dict[str, Any]:
    begun = time.monotonic()
    url = settings.broker
    try:
        if urlsplit(url).scheme in {"amqp", "amqps"}:
            _greet(url)
        else:
            _redis(url).ping()
    except (OSError, redis.RedisError):
        return part("down")
    return part("up", time.monotonic() - begun)


def _redis(url: str) -> redis.Redis:
    """This process's client for the broker's health, made once."""
    known: redis.Redis | None = current_app.extensions.get("nexus.broker")
    if known is None:
        known = current_app.extensions["nexus.broker"] = redis.Redis.from_url(
            url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS, max_connections=4
        )
    return known


def _has_storage(settings: Settings) -> bool:
    """Whether objects can be kept: a folder to write to, or an S3 endpoint that can be connected to."""
    if settings.s3_bucket is None:
        return os.access(settings.home, os.W_OK | os.X_OK)
    try:
        _connect(settings.s3_endpoint or f"https://s3.{settings.s3_region}.amazonaws.com", 443)
    except OSError:
        return False
    return True


def _greet(url: str) -> None:
    """Say hello to RabbitMQ as any AMQP 0-9-1 client begins, and wait for its answer: the kernel alone accepts connections
    for a server that hangs. Over TLS only the connection is tried. Raises `OSError`.
    """
    parts = urlsplit(url)
    if parts.scheme == "amqps":
        return _connect(url, 5671)
    with socket.create_connection((parts.hostname or "localhost", parts.port or 5672), CONNECT_SECONDS) as connection:
        connection.sendall(AMQP_HEADER)
        if connection.recv(1) != AMQP_METHOD:
            raise ConnectionError("the server does not speak AMQP 0-9-1")
    return None


def _connect(url: str, port: int) -> None:
    parts = urlsplit(url)
    default = 80 if parts.scheme == "http" else port
    socket.create_connection((parts.hostname or "localhost", parts.port or default), CONNECT_SECONDS).close()

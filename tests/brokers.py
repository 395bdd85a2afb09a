"""The broker that a test runs on: Valkey, or a RabbitMQ when the test or the whole run asks for it.

`NEXUS_TEST_BROKER=rabbitmq` (`make test-rabbitmq`) runs all tests of faults and acceptance on RabbitMQ. Without it those marked
`both_brokers` run on it beside Valkey, and those marked `only_rabbitmq` on it alone. Where RabbitMQ is not installed they are skipped, but fail in CI (`CI=true`) and with
`NEXUS_TEST_RABBITMQ=required`: there a skipped test would hide that nobody ran it.
"""

from __future__ import annotations

import os
from typing import Protocol

import pytest
import redis

from bench.rabbitmq import PrivateRabbitMQ, is_installed
from cli.embedded.valkey import EmbeddedValkey

VALKEY, RABBITMQ = "valkey", "rabbitmq"


class Broker(Protocol):
    """What tests need of a broker's server."""

    @property
    def url(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


def chosen() -> str:
    """The broker that this run was asked to use."""
    name = os.environ.get("NEXUS_TEST_BROKER", VALKEY)
    if name not in {VALKEY, RABBITMQ}:
        raise pytest.UsageError(f"NEXUS_TEST_BROKER: {name!r} is neither {VALKEY} nor {RABBITMQ}")
    return name


def names_for(definition: pytest.Item) -> list[str]:
    """The brokers that a test runs on."""
    if definition.get_closest_marker("only_rabbitmq"):
        return [RABBITMQ]
    if chosen() == VALKEY and definition.get_closest_marker("both_brokers"):
        return [VALKEY, RABBITMQ]
    return [chosen()]


def require_rabbitmq() -> None:
    """Skip the test where RabbitMQ is not installed, or fail it where it must be."""
    if is_installed():
        return
    missing = "RabbitMQ is not installed: apt-get install rabbitmq-server"
    if os.environ.get("CI") == "true" or os.environ.get("NEXUS_TEST_RABBITMQ") == "required":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


def fill(broker: Broker) -> None:
    """Make it refuse what it is given, for want of memory."""
    if isinstance(broker, PrivateRabbitMQ):
        broker.control("set_vm_memory_high_watermark", "0")
    else:
        _set_valkey_memory(broker, "1")


def make_room(broker: Broker) -> None:
    """Undo `fill`."""
    if isinstance(broker, PrivateRabbitMQ):
        broker.control("set_vm_memory_high_watermark", "0.4")
    else:
        _set_valkey_memory(broker, "0")


def _set_valkey_memory(broker: Broker, limit: str) -> None:
    assert isinstance(broker, EmbeddedValkey)
    with redis.Redis.from_url(broker.url, single_connection_client=True) as client:
        client.config_set("maxmemory", limit)

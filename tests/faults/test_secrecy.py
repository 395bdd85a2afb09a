"""What Redis gets to see: ids and names of kinds. Never a payload, an address, a tenant's name, a token or a key."""

from __future__ import annotations

import base64
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import redis

from bench.engine import Engine, until
from cli.embedded.valkey import EmbeddedValkey
from config.settings import Settings
from domain.identity.principals import system
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tests.faults.conftest import make_tenant, state

pytestmark = pytest.mark.faults

NAME, SUBJECT, TEXT, RECIPIENT = "Zebrafink Holdings", "Quokka invoice", "The wombat pays", "numbat@example.com"


class Wire:
    """Everything that the broker was told, by `MONITOR`."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._socket = socket.create_connection((parts.hostname, parts.port))
        self._socket.sendall(f"AUTH {parts.password}\r\nMONITOR\r\n".encode())
        self.seen = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := self._socket.recv(65536):
            self.seen += chunk

    def close(self) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@pytest.fixture
def wire(broker: EmbeddedValkey) -> Iterator[Wire]:
    """Listens from before the first process until after the last."""
    listening = Wire(broker.url)
    yield listening
    listening.close()


def opened(seen: bytes) -> bytes:
    """With every base64 body of a message or event in clear, since that is no disguise."""
    bodies = re.findall(rb'body\\*": \\*"([A-Za-z0-9+/]+={0,2})\\*"', seen)
    return b"\n".join([seen, *(base64.b64decode(body) for body in bodies)])


def stored(broker: EmbeddedValkey) -> bytes:
    """Every key and value in the broker."""
    found: list[bytes] = []
    with redis.Redis.from_url(broker.url, single_connection_client=True) as connection:
        for key in cast("list[bytes]", connection.keys("*")):
            found += [key, cast("bytes", connection.dump(key)) or b""]
            if connection.type(key) == b"list":
                found += cast("list[Any]", connection.lrange(key, 0, -1))
            elif connection.type(key) == b"string":
                found.append(cast("bytes", connection.get(key)) or b"")
    return b"\n".join(found)


def test_redis_never_sees_what_a_job_is_about(
    wire: Wire, engine: Engine, tenancy: Tenancy, settings: Settings, broker: EmbeddedValkey
) -> None:
    tenant = make_tenant(settings, tenancy, NAME)
    payload = {"to": RECIPIENT, "subject": SUBJECT, "text": TEXT}
    delivered = submit(tenancy, NewJob("notification.deliver", payload, system("test", tenant))).id
    # This one fails in its worker: its error must not travel in a task event either.
    damaged = submit(tenancy, NewJob("notification.deliver", payload, system("test", tenant))).id
    tenancy.platform.fetch(
        "UPDATE jobs SET payload_sealed = 'damaged', max_attempts = 1 WHERE id = %(id)s", {"id": damaged}
    )
    held = submit(tenancy, NewJob("system.ping", {"message": TEXT, "seconds": 5}, system("test", tenant))).id
    engine.dispatcher()
    engine.worker("notifications", "default", pool="threads")
    until(lambda: state(tenancy, held) == "running", 20, "the ping running")
    token = str(tenancy.platform.fetch("SELECT token FROM jobs WHERE id = %(id)s", {"id": held})[0]["token"])
    until(lambda: state(tenancy, delivered) == "succeeded", 20, "the message")
    until(lambda: state(tenancy, damaged) in {"retrying", "failed"}, 20, "the failure")
    until(lambda: b"task-failed" in opened(wire.seen), 10, "the failure's event")
    everything = opened(wire.seen + stored(broker))
    for job_id in (delivered, damaged, held):
        assert str(job_id).encode() in everything
    secrets = (NAME, SUBJECT, TEXT, RECIPIENT, str(tenant), token, token.replace("-", ""), *_master_keys(settings))
    assert [secret for secret in secrets if secret.encode() in everything] == []


def _master_keys(settings: Settings) -> list[str]:
    assert settings.master_keys is not None
    return [entry.partition(":")[2] for entry in settings.master_keys.get_secret_value().split(",")]

"""What the broker gets to see: ids and names of kinds. Never a payload, an address, a tenant's name, a token or a key."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.engine import Engine, until
from config.settings import Settings
from domain.identity.principals import system
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tests.brokers import Broker
from tests.faults.conftest import make_tenant, state

pytestmark = pytest.mark.faults

NAME, SUBJECT, TEXT, RECIPIENT = "Zebrafink Holdings", "Quokka invoice", "The wombat pays", "numbat@example.com"


class Wire:
    """A relay in front of the broker, which keeps all that passes in either direction."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        self._broker = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self._streams: list[bytearray] = []
        self.url = url.replace(f":{parts.port}", f":{self._listener.getsockname()[1]}")
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def seen(self) -> bytes:
        """What passed so far."""
        return b"\n".join(self._streams)

    def close(self) -> None:
        """Cut all connections."""
        for end in list(self._sockets):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            broker = socket.create_connection(self._broker)
            self._sockets += [client, broker]
            for source, target in ((client, broker), (broker, client)):
                self._threads.append(threading.Thread(target=self._pass, args=(source, target), daemon=True))
                self._threads[-1].start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        self._streams.append(stream := bytearray())
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                stream += chunk
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def wire(broker: Broker) -> Iterator[Wire]:
    """Listens from before the first process until after the last."""
    listening = Wire(broker.url)
    yield listening
    listening.close()


@pytest.fixture
def engine(settings: Settings, wire: Wire, tmp_path: Path) -> Iterator[Engine]:
    """Real processes, which reach the broker over the wire."""
    with Engine(settings, tmp_path / "log") as processes:
        processes.environment["BROKER_URL"] = wire.url
        yield processes


def opened(seen: bytes) -> bytes:
    """With every base64 body of a message or event in clear, since that is no disguise."""
    bodies = re.findall(rb'body\\*": \\*"([A-Za-z0-9+/]+={0,2})\\*"', seen)
    return b"\n".join([seen, *(base64.b64decode(body) for body in bodies)])


@pytest.mark.both_brokers
def test_the_broker_never_sees_what_a_job_is_about(
    wire: Wire, engine: Engine, tenancy: Tenancy, settings: Settings
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
    everything = opened(wire.seen)
    for job_id in (delivered, damaged, held):
        assert str(job_id).encode() in everything
    secrets = (NAME, SUBJECT, TEXT, RECIPIENT, str(tenant), token, token.replace("-", ""), *_master_keys(settings))
    assert [secret for secret in secrets if secret.encode() in everything] == []


def _master_keys(settings: Settings) -> list[str]:
    assert settings.master_keys is not None
    return [entry.partition(":")[2] for entry in settings.master_keys.get_secret_value().split(",")]

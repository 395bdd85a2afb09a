"""The embedded Valkey: private, and one address for every client."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from kombu import Connection
from limits.storage import storage_from_string
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.embedded.run import PROJECT
from cli.embedded.valkey import EmbeddedValkey

STOP = """
import sys
from pathlib import Path
from cli.embedded.valkey import EmbeddedValkey
EmbeddedValkey(Path(sys.argv[1])).stop()
"""
ONCE: Retry = Retry(NoBackoff(), 0)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "home")
    server.start()
    yield server
    server.stop()


def test_it_answers_who_knows_the_password(valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        assert client.ping()


def test_it_refuses_who_has_no_password(valkey: EmbeddedValkey) -> None:
    with redis.Redis(port=valkey.port, retry=ONCE) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_it_refuses_a_wrong_password(valkey: EmbeddedValkey) -> None:
    with (
        redis.Redis(port=valkey.port, password="wrong", retry=ONCE) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_it_listens_on_loopback_only(valkey: EmbeddedValkey) -> None:
    assert valkey.pid is not None
    listening = {c.laddr.ip for c in psutil.Process(valkey.pid).net_connections("inet") if c.status == "LISTEN"}

    assert listening == {"127.0.0.1"}


def test_celery_and_the_rate_limiter_use_the_same_address(valkey: EmbeddedValkey) -> None:
    with Connection(valkey.url) as broker:
        queue = broker.SimpleQueue("check")
        queue.put({"id": 1})
        message = queue.get(timeout=5)
        message.ack()  # or kombu puts it back while it closes, over connections that it leaves open
        queue.close()
    assert message.payload == {"id": 1}
    assert storage_from_string(valkey.url).check()


def test_it_never_evicts_and_never_writes_to_disk(valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        wanted = {"maxmemory-policy": "noeviction", "save": "", "appendonly": "no"}
        assert {name: client.config_get(name)[name] for name in wanted} == wanted


def test_the_password_is_not_on_the_command_line(valkey: EmbeddedValkey) -> None:
    assert valkey.pid is not None
    password = (valkey.home.secrets / "valkey").read_text()

    assert password not in " ".join(psutil.Process(valkey.pid).cmdline())


def test_it_keeps_its_port_and_password_over_restarts(valkey: EmbeddedValkey) -> None:
    url = valkey.url
    valkey.stop()

    again = EmbeddedValkey(valkey.home.path)
    again.start()

    assert again.url == url
    again.stop()


def test_it_moves_when_its_port_was_taken_meanwhile(valkey: EmbeddedValkey) -> None:
    port = valkey.port
    valkey.stop()

    with socket.create_server(("127.0.0.1", port)):
        valkey.start()

    assert valkey.port != port
    with redis.Redis.from_url(valkey.url) as client:
        assert client.ping()


def test_it_starts_again_after_it_was_killed(valkey: EmbeddedValkey) -> None:
    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGKILL)
    valkey.stop()

    valkey.start()

    with redis.Redis.from_url(valkey.url) as client:
        assert client.ping()


def test_stop_leaves_no_process(valkey: EmbeddedValkey) -> None:
    pid = valkey.pid
    assert pid is not None

    valkey.stop()

    assert valkey.pid is None
    assert not psutil.pid_exists(pid)


def test_another_process_can_stop_it(valkey: EmbeddedValkey) -> None:
    pid = valkey.pid
    assert pid is not None

    subprocess.run([sys.executable, "-c", STOP, str(valkey.home.path)], check=True, cwd=PROJECT)

    assert valkey.pid is None
    assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # ended, and left to its parent

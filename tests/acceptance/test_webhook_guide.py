"""The receiver in the guide is a program that runs: it verifies, answers, and knows an event that comes twice."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.engine import until
from domain.webhooks.signatures import new_secret, signed_headers

GUIDE = Path(__file__).parents[2] / "docs" / "webhooks.md"
BODY = b'{"id":"evt-1","type":"job.failed","timestamp":"2026-11-21T11:00:00Z","data":{"job":{"id":"1"}}}'


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[str, str, Path]]:
    """The guide's program, running: its address, its secret, and what it prints."""
    [program] = re.findall(r"```python\n(import os\n.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    (tmp_path / "receiver.py").write_text(program)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    secret, printed = new_secret(), tmp_path / "printed"
    with printed.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, tmp_path / "receiver.py"], stdout=out, stderr=subprocess.DEVNULL,
            env={**os.environ, "NEXUS_WEBHOOK_SECRET": secret, "PORT": str(port)},
        )  # fmt: skip
    try:
        until(lambda: _listens(port), 20, "the receiver")
        yield f"http://127.0.0.1:{port}/", secret, printed
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _post(url: str, headers: dict[str, str], body: bytes = BODY) -> int:
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_the_guides_receiver_takes_what_is_signed_once_and_refuses_the_rest(receiver: tuple[str, str, Path]) -> None:
    url, secret, printed = receiver
    now = int(time.time())
    good = signed_headers("evt-1", now, BODY, [secret])
    assert [_post(url, good), _post(url, good)] == [204, 204]
    assert _post(url, signed_headers("evt-1", now, BODY, [new_secret()])) == 400
    assert _post(url, signed_headers("evt-1", now - 3600, BODY, [secret])) == 400
    assert _post(url, good, BODY.replace(b"1", b"2")) == 400
    assert _post(url, {"webhook-id": "x"}) == 400
    assert printed.read_text().splitlines() == ["job.failed {'job': {'id': '1'}}"]

"""The process as it runs in production: one gunicorn worker, whose requests are greenlets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cli.processes import free_port
from config.settings import Settings
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.test_jobs import JOBS, PING, finish

PROJECT = Path(__file__).resolve().parents[3]
SERVER_SCRIPT = "import sys; from gunicorn.app.wsgiapp import run; sys.exit(run())"


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The variables of a process of this platform."""
    secrets = {
        "DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url, "BROKER_URL": settings.broker_url,
        "NEXUS_MASTER_KEYS": settings.master_keys,
    }  # fmt: skip
    return {
        **os.environ,
        **{name: value.get_secret_value() for name, value in secrets.items() if value is not None},
        "NEXUS_HOME": str(settings.home),
        **more,
    }


def start(settings: Settings, **more: str) -> subprocess.Popen[str]:
    """Gunicorn, as supervisord starts it."""
    return subprocess.Popen(
        [sys.executable, "-c", SERVER_SCRIPT, "-c", "web/gunicorn.py", "web.app:create_app()"],
        cwd=PROJECT,
        env=environment(settings, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@dataclass(slots=True)
class Server:
    """A running server and what it has written."""

    port: int
    lines: list[str]

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None, **options: Any
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {}, **options)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def logged(self, event: str) -> list[dict[str, Any]]:
        time.sleep(0.3)
        events = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [each for each in events if each["event"] == event]


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    """One worker, in front of the same databases as the other fixtures."""
    with serving(settings) as found:
        yield found


@contextmanager
def serving(settings: Settings, **more: str) -> Iterator[Server]:
    """A server for as long as the block lasts."""
    port = free_port()
    # Tokens name their issuer, so the server must go by the address that the fixtures' app has.
    process = start(settings, NEXUS_PORT=str(port), NEXUS_PUBLIC_URL=settings.base_url, NEXUS_WEB_WORKERS="1", **more)
    found = Server(port, [])

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            found.lines.append(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        _wait_until_alive(found, process)
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)
        reader.join(5)
        if process.stdout is not None:
            process.stdout.close()


def _wait_until_alive(server: Server, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "".join(server.lines)
        try:
            if server.request("GET", "/health")[0] == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("".join(server.lines))


def test_fifty_long_polls_wait_at_the_same_time_in_one_worker(server: Server, caller: Caller) -> None:
    jobs = [caller.post(JOBS, json=PING).json["id"] for _ in range(50)]

    def wait(job_id: str) -> int:
        return server.request("GET", f"{JOBS}/{job_id}?wait=1", caller.headers)[0]

    begun = time.monotonic()
    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(wait, jobs))
    took = time.monotonic() - begun

    assert statuses == [200] * 50
    assert 1.0 <= took < 5.0  # one after another they would take 50 seconds


def test_others_are_answered_while_a_statement_waits_for_a_lock(
    server: Server, caller: Caller, engine_tenancy: Tenancy
) -> None:
    job_id = caller.post(JOBS, json=PING).json["id"]
    with engine_tenancy.platform.session({}) as session, ThreadPoolExecutor(1) as pool:
        session.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": job_id})
        held_up = pool.submit(server.request, "POST", f"{JOBS}/{job_id}/cancel", caller.headers)
        time.sleep(0.5)
        answered = server.request("GET", "/health")[0]
        is_waiting = not held_up.done()
        session.rollback()
        status = held_up.result(20)[0]

    assert is_waiting
    assert (answered, status) == (200, 200)


def test_others_are_answered_while_a_password_is_hashed(server: Server) -> None:
    """Hashing takes tens of milliseconds of processor time; ten logins must not hold up a look at the health."""
    body = json.dumps({"email": "nobody@example.com", "password": "not the right one"})
    headers = {"Content-Type": "application/json"}
    with ThreadPoolExecutor(10) as pool:
        logins = [pool.submit(server.request, "POST", "/api/v1/auth/login", headers, body) for _ in range(10)]
        slowest = 0.0
        while not all(login.done() for login in logins):
            begun = time.monotonic()
            assert server.request("GET", "/health")[0] == 200
            slowest = max(slowest, time.monotonic() - begun)

    assert {login.result()[0] for login in logins} <= {401, 429}
    assert slowest < 1.0


def test_a_stream_tells_each_change_and_ends_with_the_job(
    server: Server, caller: Caller, engine_tenancy: Tenancy
) -> None:
    job_id = caller.post(JOBS, json=PING).json["id"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", f"{JOBS}/{job_id}/events", headers=caller.headers)
    stream = connection.getresponse()
    first = stream.readline() + stream.readline()
    finish(engine_tenancy, job_id)
    rest = (first + stream.read()).decode()
    connection.close()

    states = [
        json.loads(line.removeprefix("data: "))["state"] for line in rest.splitlines() if line.startswith("data: ")
    ]
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    assert states == ["queued", "succeeded"]


def test_a_chunked_body_over_the_limit_is_refused(server: Server, caller: Caller, settings: Settings) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"kind": "system.ping", "payload": {"message": "'
        for _ in range(settings.max_body_bytes // 65_536 + 1):
            yield b"x" * 65_536
        yield b'"}}'

    headers = {**caller.headers, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    status, _, body = server.request("POST", JOBS, headers, chunks(), encode_chunked=True)

    assert (status, json.loads(body)["code"]) == (413, "payload_too_large")


def test_a_chunked_body_within_the_limit_is_read(server: Server, caller: Caller) -> None:
    headers = {**caller.headers, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    status, _, _ = server.request("POST", JOBS, headers, iter([json.dumps(PING).encode()]), encode_chunked=True)

    assert status == 202


def test_submissions_larger_than_a_socket_takes_at_once_arrive_whole(server: Server, caller: Caller) -> None:
    items = [{"kind": "system.ping", "payload": {"message": "x" * 800}} for _ in range(1000)]
    headers = {**caller.headers, "Content-Type": "application/json"}

    def submit(_: int) -> list[str]:
        status, _, answer = server.request("POST", f"{JOBS}/bulk", headers, json.dumps({"items": items}))
        assert status == 200, answer[:500]
        return [each["job"]["state"] for each in json.loads(answer)["items"]]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(submit, range(4))) == [["queued"] * 1000] * 4


def test_the_access_log_tells_the_request_and_keeps_its_query_to_itself(server: Server) -> None:
    server.request("GET", "/api/v1/jobs?token=secret-in-the-query", {"X-Request-ID": "look-for-me"})

    events = [event for event in server.logged("http.request") if event["request_id"] == "look-for-me"]
    assert [(event["method"], event["path"], event["status"]) for event in events] == [("GET", "/api/v1/jobs", 422)]
    assert "secret-in-the-query" not in "".join(server.lines)


@pytest.mark.parametrize(
    ("variable", "value"), [("NEXUS_PORT", "none"), ("NEXUS_MASTER_KEYS", "broken"), ("NEXUS_RATE_LIMIT", "lots")]
)
def test_a_setting_that_cannot_work_ends_the_process_with_one_line(
    settings: Settings, variable: str, value: str
) -> None:
    process = start(settings, **{"NEXUS_PORT": str(free_port()), variable: value})
    output, _ = process.communicate(timeout=30)

    assert process.returncode in {2, 3}
    assert sum(line.startswith(f"{variable}: ") for line in output.splitlines()) == 1, output
    assert "Traceback" not in output


def test_an_account_that_row_level_security_does_not_bind_is_refused(settings: Settings) -> None:
    owner = settings.owner_dsn
    process = start(settings, NEXUS_PORT=str(free_port()), DATABASE_WEB_URL=owner)
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 3
    assert "DATABASE_WEB_URL: the account" in output
    assert "Traceback" not in output


def test_garbage_is_collected_once_the_application_is_there_and_without_looking_at_the_application(
    settings: Settings,
) -> None:
    program = (
        "import gc, runpy; hooks = runpy.run_path('web/gunicorn.py'); starting = gc.isenabled();"
        " hooks['post_worker_init'](None); print(starting, gc.isenabled(), gc.get_freeze_count() > 1000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env=environment(settings),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True", "True"]

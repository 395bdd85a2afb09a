"""What the programs say about a RabbitMQ that they are pointed to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from pydantic import SecretStr

from bench.rabbitmq import PrivateRabbitMQ
from cli.embedded.run import PROJECT
from cli.processes import free_port
from config.settings import Settings
from web.app import create_app


def up(directory: Path, broker_url: str) -> tuple[int, str]:
    """Exit code and errors of a `nexus up` that is not expected to come up."""
    ports = {"NEXUS_PORT": str(free_port()), "FLOWER_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "-m", "cli.up"], cwd=directory, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "NEXUS_HOME": str(directory / "home"), **ports,
             "BROKER_URL": broker_url},
    )  # fmt: skip
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize(
    ("account", "path", "problem"),
    [
        ("guest:hush", "", "refuses the account guest"),
        ("guest:guest", "nowhere", "NOT_ALLOWED - vhost nowhere not found"),
    ],
)
def test_a_login_that_rabbitmq_refuses_is_one_line_before_anything_starts(
    tmp_path: Path, rabbitmq: PrivateRabbitMQ, account: str, path: str, problem: str
) -> None:
    code, line = up(tmp_path, rabbitmq.url.replace("guest:guest", account).removesuffix("//") + f"/{path}")

    assert code == 2
    assert line.startswith("nexus: BROKER_URL: 127.0.0.1:")
    assert problem in line
    assert "hush" not in line
    assert "\n" not in line


@pytest.fixture
def app(settings: Settings, rabbitmq: PrivateRabbitMQ) -> Iterator[Flask]:
    """The API with RabbitMQ as its broker."""
    made = create_app(settings.model_copy(update={"broker_url": SecretStr(rabbitmq.url)}))
    yield made
    made.extensions["nexus.tenancy"].dispose()


def readiness(app: Flask) -> str:
    """What `/health/ready` says of the broker."""
    answer = app.test_client().get("/health/ready").get_json()
    return str(answer["parts"]["broker"]["state"])


def test_a_rabbitmq_that_accepts_connections_and_says_nothing_is_down(app: Flask, rabbitmq: PrivateRabbitMQ) -> None:
    assert readiness(app) == "up"
    rabbitmq.freeze()
    try:
        assert readiness(app) == "down"
    finally:
        rabbitmq.thaw()
    assert readiness(app) == "up"

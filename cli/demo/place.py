"""The platform that the demo runs on: the one that runs on this home, or one of its own that ends with it."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.credentials import local_url
from cli.demo import almanac
from cli.demo.state import DemoState
from cli.embedded.platform import running_environment
from cli.embedded.supervisor import is_ready, local_host
from cli.errors import TimedOut
from cli.processes import PlatformProcess, free_port
from config.settings import Settings

ADMIN_EMAIL = "admin@example.com"
READY_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo runs. `is_ours` if the demo started it and will stop it."""

    url: str
    flower_url: str
    home: Path
    environment: Mapping[str, str]
    is_ours: bool


@contextmanager
def place(settings: Settings, state: DemoState) -> Iterator[Place]:
    """The running platform, or a new one for as long as the block lasts. Raises `PlatformFailed` or `TimedOut`."""
    home = settings.home.expanduser().resolve()
    url, environment = local_url(home), running_environment(home)
    if url is not None and environment is not None:
        _wait_until_ready(environment)
        flower = f"http://{local_host(environment['NEXUS_HOST'])}:{environment['FLOWER_PORT']}"
        yield Place(url, flower, home, environment, is_ours=False)
        return
    process = PlatformProcess(
        home,
        port=_port(settings.host, settings.port),
        flower_port=_port(settings.host, settings.flower_port),
        environment={
            "NEXUS_BILLING_TICK_SECONDS": "1",
            **_local_sources(settings),
            **_preset_administrator(settings, state),
        },
    )
    process.start(READY_SECONDS)
    try:
        yield Place(process.base_url, process.flower_url, home, process.environment, is_ours=True)
    finally:
        process.stop()


def _local_sources(settings: Settings) -> Mapping[str, str]:
    """The demo's search source stands on this machine."""
    return {} if settings.search_private_networks else {almanac.NETWORKS: almanac.LOOPBACK}


def administrator(settings: Settings, state: DemoState) -> tuple[str, str] | None:
    """Email and password of the operator's administrator, if they are known here."""
    if settings.admin_password is not None:
        return settings.admin_email or ADMIN_EMAIL, settings.admin_password.get_secret_value()
    if state.admin_email is not None and state.admin_password is not None:
        return state.admin_email, state.admin_password
    return None


def _preset_administrator(settings: Settings, state: DemoState) -> Mapping[str, str]:
    """The first administrator of a platform that has none yet: the demo looks at the operator's jobs with it."""
    if administrator(settings, state) is None:
        state.admin_email, state.admin_password = settings.admin_email or ADMIN_EMAIL, secrets.token_hex(16)
        state.save()
    known = administrator(settings, state)
    return {} if known is None else {"NEXUS_ADMIN_EMAIL": known[0], "NEXUS_ADMIN_PASSWORD": known[1]}


def _wait_until_ready(environment: Mapping[str, str]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready(environment["NEXUS_HOST"], int(environment["NEXUS_PORT"])):
        if time.monotonic() > deadline:
            raise TimedOut(
                f"the platform on port {environment['NEXUS_PORT']} runs, but is not ready (see /health/ready)"
            )
        time.sleep(0.2)


def _port(host: str, wanted: int) -> int:
    """The port of the settings, or any other if another program has it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            return free_port()
    return wanted

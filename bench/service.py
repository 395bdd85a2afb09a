"""Our API in real gunicorn processes beside an `Engine`'s, and a tenant that may submit to it."""

from __future__ import annotations

import resource
import subprocess
import sys

import httpx2

from bench.engine import Engine, until
from bench.ground import Ground
from bench.tenant_client import TenantClient
from cli.processes import free_port

UNLIMITED = "100000000/minute"
START_SECONDS = 60.0


def start_web(engine: Engine) -> tuple[subprocess.Popen[bytes], str]:
    """Start one web process as `supervisord.conf` does; returns it and its address once it answers."""
    port = free_port()
    command = (sys.executable, "-m", "gunicorn", "-c", "web/gunicorn.py", "web.app:create_app()")
    variables = {"NEXUS_PORT": str(port), "NEXUS_HOST": "127.0.0.1", "NEXUS_RATE_LIMIT": UNLIMITED,
                 "NEXUS_ANONYMOUS_RATE_LIMIT": UNLIMITED, "NEXUS_TENANT_RATE_LIMIT": UNLIMITED}  # fmt: skip
    process = engine.start("web", command, variables)
    return process, wait_for(f"http://127.0.0.1:{port}", "/health")


def wait_for(base_url: str, path: str) -> str:
    """The address once `path` is answered there. Raises `TimeoutError`."""
    until(lambda: _answers(base_url + path), START_SECONDS, f"{base_url}{path} answers", 0.1)
    return base_url


def client_of(ground: Ground, engine: Engine, base_url: str) -> TenantClient:
    """A client with a key of a fresh pooled tenant. The engine's other processes run only for as long as that takes."""
    workers = engine.worker("default", "provisioning", name="maker")
    dispatcher = engine.dispatcher()
    try:
        client = TenantClient.create(base_url, tier="pooled")
    finally:
        engine.stop(dispatcher, workers)
    ground.tenancy.platform.fetch("DELETE FROM jobs", {})
    return client


def allow_connections() -> None:
    """Let this process and its children have as many open files as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2.0).is_success
    except httpx2.TransportError:
        return False

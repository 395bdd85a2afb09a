"""The least that a team would put before stock Celery: a Flask endpoint that sends a task and answers with its id.

`gunicorn --worker-class gevent bench.peers.celery_web:app`, one process, as ours.
"""

from __future__ import annotations

import os
import sys

from flask import Flask

from bench.peers.stock_celery import BROKER_VARIABLE, StockCelery

CONNECTIONS = "4096"

app = Flask(__name__)
stock = StockCelery(os.environ.get(BROKER_VARIABLE, "redis://unset"))


@app.post("/tasks")
def send() -> tuple[dict[str, str], int]:
    """Queue a task."""
    return {"id": stock.send_moment()}, 202


@app.get("/health")
def health() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}


def command(port: int) -> tuple[str, ...]:
    """Its command line."""
    return (sys.executable, "-m", "gunicorn", "--worker-class", "gevent", "--workers", "1",
            "--worker-connections", CONNECTIONS, "--bind", f"127.0.0.1:{port}", f"{__name__}:app")  # fmt: skip

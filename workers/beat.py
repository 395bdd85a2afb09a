"""The Celery application that beat runs: `celery -A workers.beat beat`."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from config.logging import configure
from config.settings import current
from jobs.transport import celery_app
from workers.schedule import schedule

app: Celery = celery_app(current())
schedule(app, current())


@setup_logging.connect
def _configure_logging(**_: Any) -> None:
    configure(current(), "beat")

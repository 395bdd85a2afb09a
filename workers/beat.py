"""The Celery application that beat runs: `celery -A workers.beat beat`."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from config.logging import configure
from jobs.transport import celery_app
from workers import start
from workers.schedule import schedule

settings = start.settings()
app: Celery = celery_app(settings)
schedule(app, settings)


@setup_logging.connect
def _configure_logging(**_: Any) -> None:
    configure(settings, "beat")

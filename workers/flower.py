"""Flower, read-only and behind a password. Run with `python -m workers.flower`.

It has no result backend: what jobs answered is sealed and none of Flower's business. Arguments are ids only.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

import structlog
from flower.app import Flower
from flower.options import default_options
from flower.urls import settings as flower_settings

from config.logging import configure
from config.settings import Settings, SettingsError, current
from jobs.kinds import KINDS
from jobs.transport import celery_app

log = structlog.get_logger(__name__)


def build(settings: Settings) -> Flower:
    """The Flower application. Raises `SettingsError` without a password: an open Flower is never served."""
    if settings.flower_password is None:
        raise SettingsError("FLOWER_PASSWORD: missing; Flower is not served without a password")
    options = default_options
    options.port = settings.flower_port
    options.address = settings.host
    options.basic_auth = [f"{settings.flower_user}:{settings.flower_password.get_secret_value()}"]
    options.read_only = True
    options.max_tasks = 10_000
    app = celery_app(settings)
    for name in KINDS:
        app.task(name=name)(_only_a_name)
    return Flower(capp=app, options=options, **flower_settings)


def _only_a_name(items: object) -> None:
    raise LookupError("Flower runs no task")


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    try:
        settings = current()
        configure(settings, "flower")
        flower = build(settings)
    except SettingsError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    try:
        flower.start_http_server()
        log.info("flower.serving", port=settings.flower_port)
        flower.start()
    finally:
        flower.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

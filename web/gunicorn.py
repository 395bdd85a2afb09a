"""Gunicorn's configuration: `gunicorn -c web/gunicorn.py "web.app:create_app()"`.

Requests are greenlets, so that a process holds thousands of long polls and streams. Everything that must be patched for
gevent (psycopg above all) is imported only by the worker, after gunicorn has patched: nothing here imports it, and
nothing is loaded before the fork.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config.logging import configure  # gunicorn runs this file by its path
from config.settings import SettingsError, current
from web.access_log import EventLogger

try:
    _settings = current()
except SettingsError as error:
    print(*error.problems, sep="\n", file=sys.stderr)
    raise SystemExit(2) from None
configure(_settings, "web")

bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
workers = _settings.web_workers
worker_class = "gevent"
worker_connections = 4096
preload_app = False
timeout = 60  # seconds without a sign of life from a worker: a greenlet that never yields
graceful_timeout = 30
keepalive = 30
limit_request_line = 8190
limit_request_field_size = 16_380
forwarded_allow_ips = "127.0.0.1,::1"
logger_class = EventLogger
accesslog = None
control_socket_disable = True

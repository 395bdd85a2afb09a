"""Gunicorn's configuration: `gunicorn -c web/gunicorn.py "web.app:create_app()"`.

Requests are greenlets, so that a process holds thousands of long polls and streams. Everything that must be patched for
gevent (psycopg above all) is imported only by the worker, after gunicorn has patched: nothing here imports it, and
nothing is loaded before the fork.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config.logging import configure  # gunicorn runs this file by its path
from config.settings import SettingsError, current
from config.telemetry import spans
from web.access_log import EventLogger

gc.disable()  # until the worker has its application: a start makes a million objects that stay, and looking through them costs a third

try:
    _settings = current()
except SettingsError as error:
    print(*error.problems, sep="\n", file=sys.stderr)
    raise SystemExit(2) from None
configure(_settings, "web")

if _settings.web_workers > 1 and _settings.metrics != "off":
    # A scrape reaches one of the processes: each counts in files here, which whichever is asked adds up.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="nexus-figures-")

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


def post_worker_init(_worker: Any) -> None:
    """Collect from here on, and never look again at what the start made."""
    gc.freeze()
    gc.enable()


def worker_exit(_server: Any, _worker: Any) -> None:
    """Send the spans that wait."""
    spans.flush()


def on_exit(_server: Any) -> None:
    """Remove what the workers counted in. Called in the master alone."""
    shutil.rmtree(os.environ.pop("PROMETHEUS_MULTIPROC_DIR", ""), ignore_errors=True)

"""The API's process stays small and starts quickly, because it loads no vendor SDK and nothing of Celery."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
FORBIDDEN = ("openai", "anthropic", "stripe", "boto3", "botocore", "celery", "kombu", "tasks", "workers", "smtplib")

_SCRIPT = """
import json, sys
import web.app
from web.api import blueprints
names = [blueprint.name for blueprint in blueprints()]
print(json.dumps({"modules": sorted(name for name, module in sys.modules.items() if module is not None), "blueprints": names}))
"""


def test_the_api_loads_nothing_that_records_spans_while_nobody_asked_for_them() -> None:
    assert [
        name for name in _load()["modules"] if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))
    ] == []


def test_the_api_loads_no_vendor_sdk_and_no_celery() -> None:
    loaded = _load()

    found = [name for name in loaded["modules"] if name.partition(".")[0] in FORBIDDEN]
    assert found == []
    assert "jobs" in loaded["blueprints"]


def _load() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], cwd=PROJECT, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result

"""How long the API takes from nothing to an application, and which vendors' modules it has loaded by then."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median
from typing import Any

from bench.engine import PROJECT, Engine
from bench.ground import Ground

VENDORS = ("openai", "anthropic", "stripe", "boto3", "botocore", "celery.worker", "celery", "kombu", "tasks", "workers")

_PROGRAM = f"""
import sys, time, json, resource, gc
gc.disable()  # as web/gunicorn.py does
started = time.perf_counter()
from web.app import create_app
imported = time.perf_counter()
create_app()
created = time.perf_counter()
print(json.dumps({{
    "import": imported - started, "create": created - imported, "modules": len(sys.modules),
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "vendors": [name for name in {VENDORS!r} if name in sys.modules],
}}))
"""


def measure(ground: Ground, rounds: int) -> dict[str, Any]:
    """Medians in seconds, once the bytecode is written: importing, creating the application, and the whole process from start to exit."""
    environment = Engine(ground.settings, ground.home / "log").environment
    answers, whole = [], []
    for measured in (False, *[True] * rounds):
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], env=environment, cwd=PROJECT, capture_output=True, text=True, check=True
        )
        if measured:
            whole.append(time.perf_counter() - started)
            answers.append(json.loads(done.stdout.splitlines()[-1]))
    return {
        "rounds": rounds,
        "import": median(answer["import"] for answer in answers),
        "create": median(answer["create"] for answer in answers),
        "process": median(whole),
        "modules": answers[-1]["modules"],
        "peak_mib": answers[-1]["peak_mib"],
        "vendor_modules": answers[-1]["vendors"],
    }

"""How the process is set up: settings and logging. Imports nothing of ours but the error vocabulary."""

import sys

# redis imports OpenTelemetry's metrics wherever they are installed: in every process, some 40 ms and 4 MiB for figures that nobody
# reads. Ours go another way (decision 0038), and spans do not need them.
sys.modules.setdefault("opentelemetry.sdk.metrics", None)  # type: ignore[arg-type]  # so that importing it says that it is not there

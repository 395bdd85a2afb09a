"""Writes the generated part of the Python client from the API's own description: `make reference`.

Run as `python clients/generate.py [folder]`. What is the same for every API (repeating, waiting, pages, streams) is written by hand
beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from generator.modules import write

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "clients" / "python" / "nexus_client" / "api"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from web.app import description

    write(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET, description())

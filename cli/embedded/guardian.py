"""Ends the run when its launcher is gone: `python -m cli.embedded.guardian HOME`, started by the launcher only.

It waits for the end of its standard input, a pipe whose other end only the launcher holds. The kernel closes that
however the launcher dies, SIGKILL included. Signals meant for the launcher's terminal do not concern it.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from cli.embedded.home import Home
from cli.embedded.run import end_run


def main() -> None:
    """Wait for the launcher's end, then end the run."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    end_run(Home(Path(sys.argv[1])))


if __name__ == "__main__":
    main()

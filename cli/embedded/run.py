"""One run of the platform on one home: who holds it, which processes belong to it, and how all of them end.

The launcher takes the home's lock and starts a guardian, a small process that shares the lock and holds the read
end of a pipe. However the launcher dies, the pipe closes and the guardian ends the run. If the guardian is killed as
well, the next launcher finds the record on disk and ends what is left before it starts anything.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO
from uuid import uuid4

from cli.embedded.errors import AlreadyRunning, EmbeddedServiceError
from cli.embedded.home import Home, write_private
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.process import ProcessRecord, carrying, descendants, end
from cli.embedded.valkey import EmbeddedValkey

PROJECT = Path(__file__).resolve().parents[2]
"""The directory with `supervisord.conf` and our packages."""

SUPERVISORD_RECORD, RUN_ID = "supervisord.json", "run-id"
_SUPERVISORD_SECONDS = 45.0  # longer than the longest stopwaitsecs in supervisord.conf
_HANDOVER_SECONDS = 75.0


class Run:
    """The launcher's hold on `home`. `id` is in the environment of every process that the run starts."""

    def __init__(self, home: Home):
        self.home = home
        self.id = uuid4().hex
        self._lock: IO[str] | None = None
        self._guardian: subprocess.Popen[bytes] | None = None

    def claim(self) -> None:
        """Take the home and end what an earlier run left; raise `AlreadyRunning` if a launcher has it.

        After a crash the earlier run's guardian may still be at work: then this waits for it.
        """
        lock = os.fdopen(os.open(self.home.run / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            self._wait_for(lock)
            lock.truncate(0)
            launcher = ProcessRecord.of("launcher", os.getpid())
            lock.write("" if launcher is None else launcher.text())
            lock.flush()
        except BaseException:
            lock.close()
            raise
        self._lock = lock
        end_run(self.home)
        write_private(self.home.run / RUN_ID, self.id)
        self.guard()

    def _wait_for(self, lock: IO[str]) -> None:
        deadline = time.monotonic() + _HANDOVER_SECONDS
        while not _locked(lock, fcntl.LOCK_EX):
            holder = _read(self.home.run / "lock")
            if holder is not None and holder.find() is not None:
                raise AlreadyRunning(self.home.path, holder.pid)
            if time.monotonic() > deadline:
                raise EmbeddedServiceError(f"an earlier run on {self.home.path} does not end")
            time.sleep(0.1)

    def guard(self) -> None:
        """Start the guardian, unless it is there."""
        if self._lock is None or (self._guardian is not None and self._guardian.poll() is None):
            return
        with self.home.log("guardian").open("ab") as output:
            self._guardian = subprocess.Popen(
                [sys.executable, "-m", "cli.embedded.guardian", str(self.home.path)],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(self._lock.fileno(),),
            )

    def record_supervisord(self, pid: int) -> None:
        """Remember on disk that process `pid` is this run's supervisord."""
        record = ProcessRecord.of("supervisord", pid)
        if record is not None:
            write_private(self.home.run / SUPERVISORD_RECORD, record.text())

    def end(self) -> None:
        """End every process of the run, then give the home free."""
        if self._lock is None:
            return
        end_run(self.home)
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()
            self._guardian.wait()
        self._lock.close()
        self._lock = None


def end_run(home: Home) -> None:
    """End the processes of the run recorded in `home`: supervisord and its programs, strays, Valkey, PostgreSQL.

    Programs end first and in order, because they write their last results to the servers. May be called by anyone who
    shares the lock, and again.
    """
    supervisord = _read(home.run / SUPERVISORD_RECORD)
    process = None if supervisord is None else supervisord.find()
    if process is not None:
        programs = descendants(process)
        end([process], ((signal.SIGTERM, _SUPERVISORD_SECONDS), (signal.SIGKILL, 5.0)))
        end(programs)
    valkey, postgres = EmbeddedValkey(home.path), EmbeddedPostgres(home.path)
    run_id = home.run / RUN_ID
    if run_id.exists():
        servers = {valkey.pid, postgres.pid}
        end([stray for stray in carrying(run_id.read_text()) if stray.pid not in servers])
    valkey.stop()
    postgres.stop()
    for name in (SUPERVISORD_RECORD, RUN_ID, "environment.json"):
        (home.run / name).unlink(missing_ok=True)
    (home.sockets / "supervisor.sock").unlink(missing_ok=True)
    home.discard_sockets()


def is_running(home: Home) -> bool:
    """Whether a launcher (or the guardian that clears up after it) holds the home."""
    path = home.path / "run" / "lock"
    if not path.exists():
        return False
    with path.open() as lock:
        return not _locked(lock, fcntl.LOCK_SH)


def _locked(lock: IO[str], mode: int) -> bool:
    try:
        fcntl.flock(lock, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> ProcessRecord | None:
    return ProcessRecord.parse(path.read_text()) if path.exists() else None

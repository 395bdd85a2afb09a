"""Looking up a name for no longer than there is time: the system's resolver waits as long as it likes, and its servers may be
the attacker's.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from ipaddress import ip_address

from domain.destinations import Address
from domain.errors import Transient

MOST_AT_ONCE = 64
"""Look-ups under way in a process, those among them that nobody waits for any more."""

_places = threading.BoundedSemaphore(MOST_AT_ONCE)


def resolve(host: str, port: int, seconds: float) -> list[Address]:
    """Every address of the name, as the system knows them.

    Raises `Transient` (`name_not_resolved`), and `TimeoutError` if it is not known within `seconds`.
    """
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    ends = time.monotonic() + seconds
    if not _places.acquire(timeout=seconds):
        raise TimeoutError(f"no place to look up {host}")
    answers: queue.SimpleQueue[list[Address] | None] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(_addresses(host, port))
        finally:
            _places.release()

    threading.Thread(target=look_up, name="nexus-lookup", daemon=True).start()
    try:
        found = answers.get(timeout=max(0.0, ends - time.monotonic()))
    except queue.Empty:
        raise TimeoutError(f"no answer about {host}") from None
    if found is None:
        raise Transient(f"The name {host} cannot be resolved.", code="name_not_resolved")
    return found


def _addresses(host: str, port: int) -> list[Address] | None:
    """The addresses, or None if there are none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    return [ip_address(entry[4][0]) for entry in dict.fromkeys(found)]

"""`python -m bench.crowd URL PATH CLIENTS`: so many clients at once, until standard input ends; then the statuses they have got.

A process of its own, so that whoever measures beside it shares no interpreter with it. The API key is the first line of
standard input.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
from urllib.parse import urlsplit

PAUSE_SECONDS = (1.0, 2.0)
"""A client's pause between two requests, drawn anew: what `Retry-After` asks for, and some spread."""


def main() -> None:
    """Ask until there is nothing more to read, then print the statuses as JSON."""
    url, path, clients = sys.argv[1:4]
    key = sys.stdin.readline().strip()
    stop, statuses = threading.Event(), set[int]()
    threads = [threading.Thread(target=_come, args=(url, path, key, stop, statuses)) for _ in range(int(clients))]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps(sorted(statuses)))


def _come(url: str, path: str, key: str, stop: threading.Event, statuses: set[int]) -> None:
    host = urlsplit(url)
    connection = http.client.HTTPConnection(host.hostname or "127.0.0.1", host.port, timeout=60)
    while not stop.wait(random.uniform(*PAUSE_SECONDS)):
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        answer.read()
        statuses.add(answer.status)
    connection.close()


if __name__ == "__main__":
    main()

"""S3 as moto serves it, in a process of its own, with one bucket from the start: `python -m tests.faults.object_store PORT BUCKET`."""

from __future__ import annotations

import sys

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple


def main(port: int, bucket: str) -> None:
    """Serve until the process is ended."""
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(bucket, "us-east-1")
    run_simple("127.0.0.1", port, DomainDispatcherApplication(create_backend_app), threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

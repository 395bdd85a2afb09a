"""One real platform for the tests that only use it: `nexus up` on servers of its own, driven over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cli.processes import PlatformProcess


@pytest.fixture(scope="session")
def platform(
    tmp_path_factory: pytest.TempPathFactory, platform_broker: Callable[[], dict[str, str]]
) -> Iterator[PlatformProcess]:
    """A running platform, made for this xdist worker at its first use."""
    process = PlatformProcess(
        tmp_path_factory.mktemp("platform"),
        environment={
            "NEXUS_ADMIN_PASSWORD": "correct horse battery",
            "NEXUS_BILLING_TICK_SECONDS": "1",
            "OPENAI_BASE_URL": "http://127.0.0.1:9",
            **platform_broker(),
        },
    )
    process.start()
    yield process
    process.stop()

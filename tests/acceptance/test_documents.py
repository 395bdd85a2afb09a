"""The documents' commands and programs, run as they are printed against a real platform."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.processes import PlatformProcess, free_port
from domain.identity.permissions import ALL
from tests.documents.blocks import ROOT, blocks, pages
from tests.documents.copies import copy_for
from tests.documents.sessions import LONGEST_SECONDS, missing, outputs, problems

pytestmark = [pytest.mark.timeout(LONGEST_SECONDS + 100), pytest.mark.acceptance, pytest.mark.xdist_group("platform")]

RUN = [page for page in pages() if any(block.has("run") for block in blocks(page))]
OWN = [page for page in RUN if any(block.value("file") for block in blocks(page))]
PASSWORD = "difference engine no 2"


@pytest.fixture(scope="module")
def reader(platform: PlatformProcess) -> dict[str, str]:
    """The variables of a reader who has been through the beginning: an account, a tenant and a key of hers."""
    return account(platform.base_url)


def account(url: str, scopes: Collection[str] = ALL) -> dict[str, str]:
    """The variables of a new account. Its key has those of the scopes that its owner may give."""
    api, email = f"{url}/api/v1", "reader@example.com"
    _post(f"{api}/auth/register", {"email": email, "password": PASSWORD})
    token = _post(f"{api}/auth/login", {"email": email, "password": PASSWORD})["access_token"]
    signed_in = {"Authorization": f"Bearer {token}"}
    tenant = _post(f"{api}/tenants?wait=30", {"name": "Readers", "tier": "pooled"}, signed_in)["tenant_id"]
    signed_in["X-Project-ID"] = tenant
    own = _get(f"{api}/auth/me", signed_in)["permissions"]
    key = _post(f"{api}/api-keys", {"name": "reader", "scopes": sorted({*own} & {*scopes})}, signed_in)["key"]
    return {
        "API": api, "NEXUS": url, "NEXUS_URL": url, "NEXUS_API_KEY": key, "KEY": key, "TOKEN": token, "TENANT": tenant,
        "JSON": "Content-Type: application/json", "NEXUS_PASSWORD": PASSWORD,
    }  # fmt: skip


def named_scopes(page: str) -> set[str]:
    """What the key can do that a page starts from: what getting started gives it, and what the page says it takes beside."""
    told = "".join((ROOT / each).read_text() for each in ("docs/getting-started.md", page))
    return ALL & set(re.findall(r"[a-z_]+:[a-z_]+", told))


def check(page: str, folder: Path, process: PlatformProcess, variables: dict[str, str], **where: Any) -> None:
    """Run a page in `folder`, and hold what it printed to what it says is printed: no problem but those that it shows."""
    (folder / "var").symlink_to(process.home)
    addresses = {
        "http://127.0.0.1:8000": process.base_url,
        "http://127.0.0.1:5555": process.flower_url,
        ".venv/bin/python": '"$PYTHON"',
        ".venv/bin/nexus": "nexus",
    }
    found = list(blocks(page))
    printed = outputs(found, folder, {**variables, "NEXUS_HOME": str(process.home)}, addresses, **where)
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block.line not in printed:
            continue
        said, shown = printed[block.line], after.text if after is not None and after.has("output") else ""
        assert missing(shown, said) == [], f"{block.name}\n{said}"
        assert [code for code in problems(said) if code not in shown] == [], f"{block.name}\n{said}"


@pytest.mark.parametrize("page", [page for page in RUN if page not in OWN])
def test_a_page_runs_as_printed(page: str, tmp_path: Path, platform: PlatformProcess, reader: dict[str, str]) -> None:
    check(page, tmp_path, platform, reader)


@pytest.fixture
def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, PlatformProcess, Path]]:
    """A copy of the project with a page's files and edits in it, and a platform of its own that runs them."""
    copy = copy_for(blocks(request.param), tmp_path)
    process = PlatformProcess(
        tmp_path / "home",
        environment={"PYTHONPATH": str(copy), "NEXUS_WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8"},
        project=copy,
    )
    with process:
        yield request.param, process, copy


@pytest.mark.parametrize("workshop", OWN, indirect=True)
def test_a_page_that_changes_the_code_runs_as_printed(workshop: tuple[str, PlatformProcess, Path]) -> None:
    page, process, copy = workshop
    check(
        page, copy, process, {**account(process.base_url, named_scopes(page)), "PORT": str(free_port())}, project=copy
    )


def test_the_clients_example_runs(platform: PlatformProcess, reader: dict[str, str]) -> None:
    client = ROOT / "clients" / "python"
    done = subprocess.run(
        [sys.executable, client / "examples" / "fan_out.py"],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, **reader, "PYTHONPATH": str(client)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["all done", "10 of 10", "@weekly", "conflict"]


def _post(url: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    return _send(
        urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})
    )


def _get(url: str, headers: dict[str, str]) -> Any:
    return _send(urllib.request.Request(url, headers=headers))


def _send(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)

"""Lists that must agree with each other, because a person would forget one of them."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import tasks
from config.settings import Settings
from domain.errors import NexusError
from domain.identity.permissions import ALL, SYSTEM_ROLES
from jobs.handlers import HANDLERS
from jobs.kinds import KINDS, QUEUES

ROOT = Path(__file__).parents[2]
PROCESSES = {"web", "dispatcher", "worker-io", "worker-cpu", "beat", "flower"}
SERVICES = {"postgres", "valkey", "minio", "prepare", "prometheus", "grafana"}


@pytest.fixture
def supervised() -> dict[str, list[str]]:
    """Command of each program in supervisord.conf, split as a shell would."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read(ROOT / "supervisord.conf")
    return {
        section.removeprefix("program:"): shlex.split(parser[section]["command"].replace("%%", "%"))
        for section in parser.sections()
        if section.startswith("program:")
    }


@pytest.fixture
def composed() -> dict[str, Any]:
    """Services of docker-compose.yml."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return services


def test_every_kind_has_one_handler_and_every_handler_a_kind() -> None:
    tasks.load()
    assert set(HANDLERS) == set(KINDS)


def test_every_kind_is_named_noun_verb() -> None:
    assert [name for name in KINDS if not re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", name)] == []


def test_every_queue_is_served_by_exactly_one_worker(supervised: dict[str, list[str]]) -> None:
    served = [
        queue
        for command in supervised.values()
        if "-Q" in command
        for queue in command[command.index("-Q") + 1].split(",")
    ]
    assert sorted(served) == sorted(QUEUES)


def test_supervisord_and_compose_run_the_same_processes(
    supervised: dict[str, list[str]], composed: dict[str, Any]
) -> None:
    assert set(supervised) == PROCESSES
    assert set(composed) == PROCESSES | SERVICES
    for name in PROCESSES:
        assert [part for part in composed[name]["command"] if not _differs(part)] == [
            part for part in supervised[name] if not _differs(part)
        ], name


def _differs(part: str) -> bool:
    """What may differ between a laptop and a container: concurrency, places of files."""
    return part.startswith(("--concurrency=", "--pidfile")) or "celerybeat-schedule" in part


def test_the_example_environment_names_exactly_the_settings() -> None:
    text = (ROOT / ".env.example").read_text()
    named = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text, flags=re.MULTILINE)
    assert named == [field.alias for field in Settings.model_fields.values()]


def test_every_error_has_a_code_of_its_own() -> None:
    def below(base: type[NexusError]) -> list[type[NexusError]]:
        return [base, *(inner for child in base.__subclasses__() for inner in below(child))]

    codes = [error.code for error in below(NexusError) if "code" in vars(error)]
    assert len(codes) == len(set(codes))
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)] == []


def test_kinds_ask_only_for_permissions_that_exist() -> None:
    assert {kind.permission for kind in KINDS.values() if kind.permission} <= ALL


def test_system_roles_grow_from_viewer_to_owner() -> None:
    roles = SYSTEM_ROLES
    assert roles["viewer"] < roles["editor"] < roles["admin"] < roles["owner"] == ALL


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    pages = sorted(page.name for page in folder.glob("[0-9]*.md"))
    assert [page for page in pages if f"({page})" not in index] == []
    numbers = [int(page[:4]) for page in pages]
    assert numbers == sorted(set(numbers))


def test_no_room_stands_empty_and_none_is_unknown() -> None:
    known = {"web", "jobs", "tasks", "workers", "tenancy", "domain", "providers", "bus", "models", "migrations", "config", "cli", "bench",
             "clients", "deploy", "docs", "tests"}  # fmt: skip
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - {
        "var",
        "build",
    }
    assert {name for name in folders if not name.endswith(".egg-info")} - {"__pycache__"} <= known


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "services", "managers"])
def test_nothing_is_named_after_nothing(name: str) -> None:
    found = [path for room in ("web", "jobs", "tasks", "workers", "tenancy", "domain", "providers", "models", "config", "cli")
             for path in (ROOT / room).rglob(f"{name}*")]  # fmt: skip
    assert found == []

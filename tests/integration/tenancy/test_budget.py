"""A node that could ask the server for more connections than it gives does not start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from bench.engine import environment_of
from cli.embedded.platform import _room_for
from cli.embedded.run import PROJECT
from config.settings import Settings, SettingsError
from tenancy.budget import check_budget


def test_a_node_within_the_budget_is_let_through(settings: Settings) -> None:
    with psycopg.connect(settings.owner_dsn) as connection:
        check_budget(settings, connection)


def test_a_node_beyond_it_is_told_what_would_fit(settings: Settings) -> None:
    large = settings.model_copy(update={"web_workers": 8})
    with psycopg.connect(settings.owner_dsn) as connection, pytest.raises(SettingsError) as refused:
        check_budget(large, connection)

    assert len(refused.value.problems) == 1
    assert "may open 749 connections and the server gives 397: 14 would fit" in refused.value.problems[0]
    with psycopg.connect(settings.owner_dsn) as connection:
        check_budget(large.model_copy(update={"tenant_engine_limit": 14}), connection)


def test_behind_a_pooler_nothing_is_counted(settings: Settings) -> None:
    pooled = {"web_workers": 64, "database_pooler_url": SecretStr("postgresql://127.0.0.1:6432")}
    with psycopg.connect(settings.owner_dsn) as connection:
        check_budget(settings.model_copy(update=pooled), connection)


def test_the_command_says_so_in_one_line_and_ends_with_2(settings: Settings, tmp_path: Path) -> None:
    environment = {**os.environ, **environment_of(settings), "NEXUS_WEB_WORKERS": "64", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-m", "cli", "prepare"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr.startswith("nexus: NEXUS_TENANT_ENGINE_LIMIT: the processes may open ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_embedded_server_gives_what_the_settings_ask_for(settings: Settings) -> None:
    assert _room_for(settings) == {"max_connections": "300"}
    assert int(_room_for(settings.model_copy(update={"web_workers": 8}))["max_connections"]) == 749 + 10

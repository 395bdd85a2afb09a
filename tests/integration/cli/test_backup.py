"""`nexus backup` and `nexus restore`: they work without a running platform, and what is wrong is one line and code 2."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from cli.embedded.home import Home
from cli.embedded.postgres import EmbeddedPostgres
from cli.main import main
from domain.ids import new_id
from tests.conftest import Cluster
from tests.integration.cli.conftest import Nexus, Outcome
from tests.platforms import Platform, drop_databases, small_platform

pytestmark = pytest.mark.timeout(300)

Run = Callable[..., Outcome]


@pytest.fixture
def platform(cluster: Cluster, tmp_path: Path, worker_id: str, prepared: object) -> Iterator[Platform]:
    """See `tests.platforms`."""
    name = f"nexus_cli_{worker_id}_{new_id().hex[-8:]}"
    with small_platform(cluster, name, tmp_path / "home") as found:
        yield found
        found.tenancy.dispose()
        drop_databases(found)


@pytest.fixture
def here(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs the command on a machine that knows the backups and the master keys, and nothing else."""
    keys = platform.settings.master_keys
    assert keys is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / "new"))
    monkeypatch.setenv("NEXUS_BACKUP_FOLDER", str(platform.settings.backup_folder))
    monkeypatch.setenv("NEXUS_MASTER_KEYS", keys.get_secret_value())

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(arguments)
        return Outcome(code, *capsys.readouterr())

    return run


def refusal(outcome: Outcome) -> str:
    """The one line of a command that was refused."""
    assert outcome.code == 2, outcome
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("nexus: ")]
    return line


def test_backups_are_listed_verified_and_pruned_without_a_platform(here: Run, platform: Platform) -> None:
    assert json.loads(here("backup", "list", "--json").out) == {"items": []}
    backup_id = platform.back_up()
    (shown,) = json.loads(here("backup", "list", "--json").out)["items"]
    assert (shown["id"], shown["tenants"], shown["problem"]) == (str(backup_id), 3, None)
    verified = here("backup", "verify", "latest", "--json")
    assert (verified.code, verified.json["rows"]) == (0, shown["rows"])
    assert here("backup", "prune", "--json").json == {"removed": [], "dry_run": False}


def test_what_is_wrong_with_a_backup_is_one_line(
    here: Run, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no backup" in refusal(here("backup", "verify", "latest"))
    assert "is no backup's id" in refusal(here("restore", "yesterday"))
    assert "[not_found]" in refusal(here("restore", str(new_id())))
    backup_id = platform.back_up()
    monkeypatch.setenv("NEXUS_MASTER_KEYS", f"k9:{base64.b64encode(bytes(32)).decode()}")
    for command in ("verify", "restore"):
        arguments = (command,) if command == "restore" else ("backup", command)
        assert "[backup_not_genuine]" in refusal(here(*arguments, str(backup_id)))
    monkeypatch.delenv("NEXUS_MASTER_KEYS")
    assert "NEXUS_MASTER_KEYS: missing" in refusal(here("restore", "latest"))
    monkeypatch.setenv("NEXUS_MASTER_KEYS", "k1:short")
    assert "NEXUS_MASTER_KEYS: each key is" in refusal(here("restore", "latest"))
    home = Path(platform.settings.home).parent / "new"
    assert not (home / "postgres").exists(), "no server was started for it"


def test_a_restore_over_a_living_platform_is_refused(
    here: Run, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.back_up()
    monkeypatch.setenv("DATABASE_URL", platform.settings.owner_dsn)
    assert refusal(here("restore", "latest")).endswith("holds a platform already; restore into an empty database")
    with platform.tenancy.session(platform.pooled) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar() == 30


def test_an_empty_home_gets_servers_rows_and_keys(here: Run, platform: Platform, tmp_path: Path) -> None:
    backup_id = platform.back_up()
    done = here("restore", "latest", "--json")
    assert done.code == 0, done.err
    assert done.json == {"backup": str(backup_id), "tenants": 3, "rows": done.json["rows"], "without_data": []}
    home = Home(tmp_path / "new")
    keys = platform.settings.master_keys
    assert keys is not None
    assert (home.secrets / "NEXUS_MASTER_KEYS").read_text() == keys.get_secret_value()
    postgres = EmbeddedPostgres(tmp_path / "new")
    postgres.start()
    try:
        with psycopg.connect(postgres.superuser_dsn, dbname=f"nexus_t_{platform.dedicated.hex}") as connection:
            assert connection.execute("SELECT count(*) FROM documents").fetchone() == (30,)
    finally:
        postgres.stop()


def test_an_operator_asks_for_one_by_the_command(nexus: Nexus, operator: UUID) -> None:
    outcome = nexus("backup", "create", "--no-wait", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["kind"] == "platform.backup"
    assert nexus("backup", "create", "--no-wait").code == 2, "one at a time"

"""Backups of a whole platform: whole or refused, sealed, gone on with, and restored only where nothing is harmed."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from bench.newer_code import newer, write
from config.settings import Settings, SettingsError
from domain.errors import NotFound, Permanent, Transient
from domain.ids import new_id
from jobs.recovery import submit_platform_backup
from tenancy import fleet
from tenancy.access import Tenancy
from tenancy.bootstrap import prepare
from tenancy.life.archives import HALF_STORED
from tenancy.recovery.create import Creation
from tenancy.recovery.reading import unreadable
from tenancy.recovery.restore import Restoration
from tenancy.recovery.sealed import SealedWriter, opened
from tenancy.recovery.store import Store
from tenancy.recovery.verify import Files
from tenancy.vault import MasterRing
from tests.conftest import Cluster, create_database, settings_for
from tests.platforms import EMAIL, Platform, database_of, drop_databases, rows_of, small_platform

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def platform(cluster: Cluster, tmp_path: Path, worker_id: str, prepared: object) -> Iterator[Platform]:
    """See `tests.platforms`."""
    name = f"nexus_backup_{worker_id}_{new_id().hex[-8:]}"
    with small_platform(cluster, name, tmp_path / "home") as found:
        yield found
        found.tenancy.dispose()
        drop_databases(found)


def store_of(platform: Platform) -> Store:
    return Store(platform.settings, platform.tenancy.ring)


def files_of(platform: Platform, backup_id: UUID) -> Files:
    return Files(store_of(platform), platform.tenancy.ring, backup_id)


def path_of(platform: Platform, backup_id: UUID, name: str) -> Path:
    """Where the file store keeps a file of a backup, by its name or the end of it: each run has a folder of its own."""
    key = next(info.key for info in store_of(platform).bucket.list(f"{backup_id}/") if info.key.endswith(f"/{name}"))
    *folders, last = key.split("/")
    folder = platform.settings.backup_folder
    assert folder is not None
    return folder.joinpath(*(f"{part}%" for part in folders), last)


def creation(platform: Platform, backup_id: UUID, progress: Any, kept: dict[str, Any]) -> Creation:
    """A run that keeps what it has done in `kept`."""

    def keep(done: Any) -> None:
        kept.clear()
        kept.update(done)

    return Creation(platform.settings, platform.tenancy, backup_id, progress, dict(kept), keep)


def nobody(_done: int, _total: int | None, _message: str) -> None:
    """Is told of progress."""


def emptied(platform: Platform, cluster: Cluster) -> Settings:
    """Destroy the platform on its server; an empty database of the same name is left."""
    platform.tenancy.dispose()
    drop_databases(platform)
    create_database(cluster, database_of(platform))
    return platform.settings


def test_a_backup_holds_all_rows_of_all_databases_and_verifies(platform: Platform) -> None:
    backup_id = platform.back_up()
    manifest = files_of(platform, backup_id).check(nobody)
    assert (manifest.tenants, manifest.left_out) == (3, ())
    with psycopg.connect(platform.superuser, dbname=database_of(platform)) as connection:
        people = connection.execute("SELECT count(*) FROM users").fetchone()
    with files_of(platform, backup_id).lines(manifest.platform) as lines:
        text = b"".join(lines).decode()
    assert people is not None
    users = text.partition('COPY "users"')[2].partition("\\.\n")[0]
    assert len(users.splitlines()) - 1 == people[0]
    assert EMAIL in users


def test_no_file_of_a_backup_can_be_read_without_the_master_keys_which_are_in_none(platform: Platform) -> None:
    backup_id = platform.back_up()
    manifest = store_of(platform).manifest(backup_id)
    masters = [key for _, key in platform.settings.master_key_ring if key is not None]
    for entry in manifest.files:
        raw = path_of(platform, backup_id, entry.name).read_bytes()
        with files_of(platform, backup_id).pieces(entry) as pieces:
            plain = b"".join(pieces)
        for secret in (EMAIL.encode(), b"line\\nbreak", str(platform.pooled).encode()):
            assert secret not in raw
        for key in masters:
            assert all(form not in plain for form in (key, key.hex().encode(), base64.b64encode(key)))
    ring = MasterRing((("k9", b"x" * 32),))
    with pytest.raises(Permanent) as raised:
        Files(Store(platform.settings, ring), ring, backup_id)
    assert raised.value.job_code == "backup_not_genuine"


def test_a_backup_that_was_altered_or_cut_off_is_refused_before_anything_is_touched(
    platform: Platform, cluster: Cluster
) -> None:
    backup_id = platform.back_up()
    settings = emptied(platform, cluster)
    names = ("platform.backup", f"tenants/{platform.dedicated}.backup", f"tenants/{platform.pooled}.objects")
    for path in (path_of(platform, backup_id, name) for name in names):
        whole = path.read_bytes()
        for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], b""):
            path.write_bytes(damaged)
            with pytest.raises(Permanent) as raised:
                Restoration(settings, backup_id, nobody).run()
            assert raised.value.job_code == "backup_damaged"
        path.write_bytes(whole)
    assert rows_of(platform.superuser, database_of(platform)) == {}


def test_a_file_that_was_cut_off_between_two_chunks_does_not_open() -> None:
    file, key = io.BytesIO(), b"k" * 32
    writer = SealedWriter(file, key, "name")
    for _ in range(4):
        writer.write(os.urandom(1024 * 1024))
    writer.finish()
    whole, chunk = file.getvalue(), 20 + 2 * (4 + 1024 * 1024 + 16)
    assert sum(map(len, opened(io.BytesIO(whole), key, "name"))) == 4 * 1024 * 1024
    for broken, name in ((whole[:chunk], "name"), (whole, "another"), (whole[:20] + whole[chunk:], "name")):
        with pytest.raises(Permanent):
            list(opened(io.BytesIO(broken), key, name))


def test_a_manifest_that_was_altered_is_refused(platform: Platform) -> None:
    backup_id = platform.back_up()
    path = path_of(platform, backup_id, "manifest.json")
    path.write_bytes(path.read_bytes().replace(b'"rows":', b'"rows":1'))
    with pytest.raises(Permanent) as raised:
        store_of(platform).manifest(backup_id)
    assert raised.value.job_code == "backup_not_genuine"
    assert store_of(platform).shown(backup_id)["problem"] == "backup_not_genuine"


def test_a_run_that_died_goes_on_with_the_tenant_that_it_was_at(platform: Platform) -> None:
    backup_id, kept = new_id(), dict[str, Any]()

    def dies(_done: int, _total: int | None, message: str) -> None:
        if f"/tenants/{platform.dedicated}" in message:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        creation(platform, backup_id, dies, kept).run()
    assert store_of(platform).ids() == []
    first = path_of(platform, backup_id, "platform.backup").read_bytes()
    creation(platform, backup_id, nobody, kept).run()
    assert path_of(platform, backup_id, "platform.backup").read_bytes() == first
    assert files_of(platform, backup_id).check(nobody).tenants == 3
    again = creation(platform, backup_id, dies, {}).run()
    assert again == store_of(platform).manifest(backup_id), "what is whole is not made again"


def test_a_tenant_that_moves_during_a_backup_makes_it_begin_anew(platform: Platform) -> None:
    backup_id, kept = new_id(), dict[str, Any]()

    def moves(_done: int, _total: int | None, message: str) -> None:
        if message.startswith("tenant "):
            platform.tenancy.platform.fetch(
                """UPDATE tenants SET settings = settings || '{"done": "a move"}' WHERE id = %(id)s""",
                {"id": platform.pooled},
            )

    with pytest.raises(Transient) as raised:
        creation(platform, backup_id, moves, kept).run()
    assert raised.value.job_code == "backup_raced"
    assert store_of(platform).ids() == []
    creation(platform, backup_id, nobody, kept).run()
    with files_of(platform, backup_id).lines(store_of(platform).manifest(backup_id).platform) as lines:
        assert any(b"a move" in line for line in lines)


def test_a_tenant_whose_database_is_away_is_left_out_by_name_and_comes_back_without_data(
    platform: Platform, cluster: Cluster
) -> None:
    name = sql.Identifier(f"nexus_t_{platform.dedicated.hex}")
    with psycopg.connect(platform.superuser, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
    backup_id = platform.back_up()
    manifest = store_of(platform).manifest(backup_id)
    assert [(each.tenant_id, each.code) for each in manifest.left_out] == [
        (str(platform.dedicated), "tenant_database_down")
    ]
    settings = emptied(platform, cluster)
    assert Restoration(settings, backup_id, nobody).run().without_data == (str(platform.dedicated),)
    tenancy = Tenancy(settings, "engine")
    record = tenancy.record(platform.dedicated)
    assert (record.state, record.settings["half_restored"]) == ("suspended", True)
    with tenancy.session(platform.pooled) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar() == 30
    tenancy.dispose()


def test_a_backup_that_misses_a_tenant_is_not_good_and_no_reason_for_a_good_one_to_go(platform: Platform) -> None:
    name, store = sql.Identifier(f"nexus_t_{platform.dedicated.hex}"), store_of(platform)

    def allow(connections: LiteralString) -> None:
        with psycopg.connect(platform.superuser, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, sql.SQL(connections)))

    good = platform.back_up()
    allow("false")
    missing = platform.back_up()
    assert (store.ids(), [store.is_good(each) for each in store.ids()]) == ([good, missing], [True, False])
    allow("true")
    again = platform.back_up()
    assert store.ids() == [again], "the last of the day, which is good"


def test_backups_are_kept_by_the_rule_and_what_was_never_finished_goes(platform: Platform) -> None:
    store, now = store_of(platform), datetime(2026, 11, 21, 12, tzinfo=UTC)

    def made(moment: datetime, *, whole: bool = True) -> UUID:
        milliseconds = int(moment.timestamp() * 1000)
        backup_id = UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | (new_id().int & 0xFFFF))
        store.bucket.put(f"{backup_id}/platform.backup", b"x")
        if whole:
            store.bucket.put(f"{backup_id}/manifest.json", b"{}")
        return backup_id

    daily = [made(now - timedelta(days=day)) for day in range(40)]
    twice = made(now - timedelta(days=3, hours=2))
    begun = made(now - timedelta(hours=5), whole=False)
    abandoned = made(now - HALF_STORED - timedelta(hours=1), whole=False)
    gone = set(store.superfluous(now))
    assert {twice, abandoned} <= gone
    assert begun not in gone
    assert gone - {twice, abandoned} <= set(daily[30:])
    for each in gone:
        store.remove(each)
    assert store.superfluous(now) == []
    assert not any(info.key.startswith(f"{abandoned}/") for info in store.bucket.list())


def test_the_platform_asks_for_a_backup_when_the_last_one_is_too_old(platform: Platform) -> None:
    now = datetime.now(UTC)
    assert submit_platform_backup(platform.tenancy, now) == 0, "unless the operator says so"
    often = Tenancy(platform.settings.model_copy(update={"platform_backup_hours": 24.0}), "engine")
    assert [submit_platform_backup(often, now) for _ in range(2)] == [1, 0]
    often.platform.fetch("DELETE FROM jobs WHERE kind = 'platform.backup'", {})
    platform.back_up()
    often.platform.fetch("UPDATE jobs SET unique_key = NULL WHERE kind = 'platform.backup'", {})
    assert submit_platform_backup(often, datetime.now(UTC)) == 0
    assert submit_platform_backup(often, datetime.now(UTC) + timedelta(hours=25)) == 1
    often.dispose()


def test_a_restore_goes_only_where_no_platform_is(platform: Platform) -> None:
    backup_id = platform.back_up()
    with pytest.raises(SettingsError, match="holds a platform already"):
        Restoration(platform.settings, backup_id, nobody).run()
    with pytest.raises(NotFound):
        Restoration(platform.settings, new_id(), nobody)


def test_tenants_databases_that_are_there_are_refused_kept_or_replaced_as_asked(
    platform: Platform, cluster: Cluster, tmp_path: Path
) -> None:
    backup_id = platform.back_up()
    with platform.tenancy.session(platform.dedicated) as session:
        session.connection().exec_driver_sql("DELETE FROM documents WHERE external_id <> 'd1'")
    platform.tenancy.dispose()
    left = {}
    for existing in ("refuse", "keep", "replace"):
        create_database(cluster, database_of(platform))
        restoration = Restoration(platform.settings, backup_id, nobody, existing)  # type: ignore[arg-type]
        if existing == "refuse":
            with pytest.raises(SettingsError, match="--existing keep"):
                restoration.run()
            assert rows_of(platform.superuser, database_of(platform)) == {}
            continue
        restoration.run()
        tenancy = Tenancy(platform.settings, "engine")
        with tenancy.session(platform.dedicated) as session:
            left[existing] = session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar()
        tenancy.dispose()
    assert left == {"keep": 1, "replace": 30}


def test_a_tenant_that_was_behind_comes_back_as_it_was_and_is_migrated_by_the_next_wave(
    platform: Platform, cluster: Cluster, tmp_path: Path
) -> None:
    backup_id = platform.back_up()
    settings = emptied(platform, cluster)
    revision = f"t{new_id().hex[-10:]}"
    with newer(write(tmp_path / "newer", revision)):
        Restoration(settings, backup_id, nobody).run()
        tenancy = Tenancy(settings, "engine")
        assert tenancy.record(platform.dedicated).schema_version != revision
        with tenancy.session(platform.dedicated) as session:
            names = session.connection().exec_driver_sql(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'documents'"
            )
            assert "colour" not in {row[0] for row in names}
        tenancy.dispose()


def test_a_backup_of_a_newer_version_is_refused(platform: Platform, cluster: Cluster, tmp_path: Path) -> None:
    revision = f"t{new_id().hex[-10:]}"
    with newer(write(tmp_path / "newer", revision)):
        for place in fleet.places(platform.tenancy.platform, [platform.dedicated]):
            assert fleet.migrate(platform.tenancy, place) is None
        platform.tenancy.directory.forget(platform.dedicated)
        backup_id = platform.back_up()
    settings = emptied(platform, cluster)
    with pytest.raises(Permanent) as raised:
        Restoration(settings, backup_id, nobody).run()
    assert raised.value.job_code == "backup_too_new"


def test_every_table_can_be_read_by_a_backup_and_by_the_owner_only_then(platform: Platform) -> None:
    with psycopg.connect(platform.settings.owner_dsn) as owner:
        assert unreadable(owner) == []
        assert owner.execute("SELECT count(*) FROM tenants").fetchone() == (0,)
        owner.execute("SELECT set_config('nexus.backup', 'on', true)")
        assert owner.execute("SELECT count(*) FROM tenants").fetchone() == (3,)
        policies = owner.execute(
            "SELECT DISTINCT roles::text, cmd FROM pg_policies WHERE policyname = 'backups'"
        ).fetchall()
        assert policies == [("{nexus_owner}", "SELECT")], "for nobody else, and to read"
    with psycopg.connect(platform.settings.web_dsn) as web:
        web.execute("SELECT set_config('nexus.backup', 'on', true)")
        assert web.execute("SELECT count(*) FROM tenants").fetchone() == (0,)


def test_a_platform_is_restored_into_another_database_name_with_its_own_accounts(
    platform: Platform, cluster: Cluster, tmp_path: Path
) -> None:
    backup_id = platform.back_up()
    emptied(platform, cluster)
    other = f"{database_of(platform)}_other"
    create_database(cluster, other)
    settings = settings_for(cluster, other, tmp_path / "home", NEXUS_BACKUP_FOLDER=platform.settings.backup_folder)
    Restoration(settings, backup_id, nobody).run()
    prepare(settings)
    tenancy = Tenancy(settings, "engine")
    tenancy.check()
    for tenant_id in platform.tenants:
        with tenancy.session(tenant_id) as session:
            assert session.connection().exec_driver_sql("SELECT count(*) FROM documents").scalar() == 30
    tenancy.dispose()
    with psycopg.connect(platform.superuser, autocommit=True) as connection:
        for name in (other, f"{other}_pool"):
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

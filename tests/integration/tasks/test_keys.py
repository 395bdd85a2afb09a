"""Rotation of data keys and of master keys: nothing is lost, nobody fails, and what is destroyed is not needed."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import pytest

from bus.endpoints import create, secrets
from bus.events import publish
from config.settings import Settings, SettingsError, load, oldest_local_key
from domain.errors import Cancelled, Permanent, UniqueKeyTaken
from domain.identity.principals import system
from domain.ids import new_id
from jobs.rows import result_of
from jobs.schedules import open_payload, seal_payload
from jobs.submissions import submission
from jobs.submit import NewJob, submit
from models.platform import Schedule, WebhookEndpoint
from tasks.keys import destroy_keys, rewrap_keys, rotate_keys
from tenancy import resealing, rotation
from tenancy.access import Tenancy
from tenancy.identity.signing_keys import SigningKeys, rewrap_signing_keys
from tenancy.life import archives
from tenancy.life.archive import ArchiveReader
from tenancy.life.export import export
from tenancy.life.manifest import signer
from tenancy.life.restore import fetch
from tenancy.masters import open_ring
from tenancy.provisioning import Provisioner
from tenancy.rewrapping import note_ring, uses
from tenancy.scopes import operator_scope, tenant_scope
from tenancy.sealed_columns import PLATFORM, SealedTable
from tenancy.vault import MasterRing, SealBroken, Vault, data_key_place, sealed_under

MakeContext = Callable[..., tuple[Any, Any]]


def rotate(make_context: MakeContext, tenant_id: UUID) -> Mapping[str, Any]:
    """Rotate as a worker would."""
    context, payload = make_context("tenant.rotate_keys", tenant_id, {})
    result = rotate_keys(context, payload)
    assert result is not None
    return result


def under(tenancy: Tenancy, tenant_id: UUID) -> dict[str, set[bytes]]:
    """By table, how the tenant's sealed values begin: which keys have sealed them."""
    found: dict[str, set[bytes]] = {}
    for table in PLATFORM:
        for column in table.columns:
            query: LiteralString = (
                f"SELECT DISTINCT substr({column}, 1, 3) AS begin FROM {table.name}"
                f" WHERE {table.tenant} = %(id)s AND {column} IS NOT NULL"
            )
            rows = tenancy.platform.fetch(query, {"id": tenant_id})
            if rows:
                found.setdefault(table.name, set()).update(bytes(row["begin"]) for row in rows)
    return found


@pytest.fixture
def filled(engine_tenancy: Tenancy, tenant: UUID) -> dict[str, Any]:
    """A dedicated tenant with something sealed in every table of the registry."""
    vault = engine_tenancy.vault(tenant)
    ids: dict[str, Any] = {"tenant": tenant, "endpoint": new_id(), "schedule": new_id()}
    platform = engine_tenancy.platform
    who = system("test", tenant)
    ids["job"] = submit(engine_tenancy, NewJob("system.ping", {"message": "hello"}, who)).id
    ids["finished"] = submit(engine_tenancy, NewJob("system.ping", {"message": "done"}, who)).id
    sealed = {
        name: vault.seal(b'{"message":"done"}', "jobs", name, ids["finished"])
        for name in ("result_sealed", "error_sealed", "checkpoint_sealed")
    }
    platform.fetch(
        "UPDATE jobs SET state = 'succeeded', finished_at = now(), result_sealed = %(result_sealed)s,"
        " error_sealed = %(error_sealed)s, checkpoint_sealed = %(checkpoint_sealed)s WHERE id = %(id)s",
        {**sealed, "id": ids["finished"]},
    )
    with platform.session(tenant_scope(tenant)) as session:
        values = {"url": "https://example.com/hook", "description": "", "event_types": ["*"]}
        _endpoint, ids["secret"] = create(session, vault, ids["endpoint"], values, enabled=True, created_by="user:x")
        session.add(
            Schedule(
                id=ids["schedule"], tenant_id=tenant, name="s", kind="system.ping", cron="@daily", timezone="UTC", missed="skip",
                payload_sealed=seal_payload({"message": "daily"}, ids["schedule"], vault), principal="system:test",
                next_at=datetime.now(UTC) + timedelta(days=1),
            )
        )  # fmt: skip
        ids["event"] = publish(session, vault, "tenant.provisioned", {"tenant": {"id": str(tenant)}}, key="k")
        delivery, attempt = new_id(), new_id()
        connection = session.connection()
        session.flush()
        connection.exec_driver_sql(
            "INSERT INTO webhook_deliveries (id, tenant_id, endpoint_id, event_id, job_id) VALUES (%s, %s, %s, %s, %s)",
            (delivery, tenant, ids["endpoint"], ids["event"], new_id()),
        )
        connection.exec_driver_sql(
            "INSERT INTO webhook_attempts (id, tenant_id, delivery_id, number, started_at, response_sealed)"
            " VALUES (%s, %s, %s, 1, now(), %s)",
            (attempt, tenant, delivery, vault.seal(b"no", "webhook_attempts", "response_sealed", attempt)),
        )
    ids["attempt"] = attempt
    return ids


def test_a_rotation_puts_everything_under_a_new_key_and_all_of_it_still_opens(
    engine_tenancy: Tenancy, make_context: MakeContext, filled: dict[str, Any]
) -> None:
    tenant = filled["tenant"]
    before = under(engine_tenancy, tenant)
    assert set(before) == {table.name for table in PLATFORM}
    assert set.union(*before.values()) == {sealed_under(1)}
    result = rotate(make_context, tenant)
    assert (result["version"], result["unreadable"]) == (2, 0)
    assert result["resealed"] >= 9
    assert set.union(*under(engine_tenancy, tenant).values()) == {sealed_under(2)}
    assert_opens(engine_tenancy, filled)


def assert_opens(tenancy: Tenancy, filled: Mapping[str, Any]) -> None:
    """Everything that `filled` has sealed says what it said."""
    tenant, vault = filled["tenant"], tenancy.vault(filled["tenant"])
    assert submission(tenancy, tenant, "system.ping", filled["job"]).payload == {"message": "hello", "seconds": 0.0}
    finished = submission(tenancy, tenant, "system.ping", filled["finished"])
    assert result_of(finished.row, vault) == {"message": "done"}
    with tenancy.platform.session(tenant_scope(tenant)) as session:
        endpoint = session.get_one(WebhookEndpoint, filled["endpoint"])
        assert secrets(endpoint, vault, datetime.now(UTC)) == [filled["secret"]]
        schedule = session.get_one(Schedule, filled["schedule"])
        assert open_payload(schedule.payload_sealed, schedule.id, vault)["message"] == "daily"
    with tenancy.session(tenant) as session:
        assert session.connection().exec_driver_sql("SELECT 1").scalar() == 1
    assert tenancy.bucket(tenant).exists(".nexus")


def test_a_process_that_knows_only_the_old_key_opens_what_the_new_one_sealed(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, make_context: MakeContext, tenant: UUID
) -> None:
    old = web_tenancy.vault(tenant)
    held = engine_tenancy.vault(tenant)
    rotate(make_context, tenant)
    new = engine_tenancy.vault(tenant)
    assert (old.newest, held.newest, new.newest) == (1, 1, 2)
    row = new_id()
    for vault in (old, held):
        assert vault.open(new.seal(b"text", "jobs", "payload_sealed", row), "jobs", "payload_sealed", row) == b"text"


def test_a_value_under_a_key_that_was_destroyed_does_not_open(engine_tenancy: Tenancy, tenant: UUID) -> None:
    vault, row = engine_tenancy.vault(tenant), new_id()
    other = Vault(tenant, {7: os.urandom(32)})
    with pytest.raises(SealBroken, match="is gone"):
        vault.open(other.seal(b"text", "jobs", "payload_sealed", row), "jobs", "payload_sealed", row)


def test_the_old_key_is_destroyed_by_a_job_of_its_own_once_nothing_can_need_it(
    engine_tenancy: Tenancy, make_context: MakeContext, filled: dict[str, Any]
) -> None:
    tenant = filled["tenant"]
    rotate(make_context, tenant)
    (waiting,) = engine_tenancy.platform.fetch(
        "SELECT id, run_at FROM jobs WHERE kind = 'tenant.destroy_keys' AND tenant_id = %(id)s", {"id": tenant}
    )
    assert waiting["run_at"] > datetime.now(UTC) + timedelta(hours=24)
    # An attempt that took its keys before the rotation ends after it, and seals its result under the old key.
    late = submit(engine_tenancy, NewJob("system.ping", {}, system("test", tenant))).id
    old = Vault(tenant, {1: engine_tenancy.vault(tenant).keys[1]})
    straggler = old.seal(b'"late"', "jobs", "result_sealed", late)
    engine_tenancy.platform.fetch(
        "UPDATE jobs SET result_sealed = %(sealed)s WHERE id = %(id)s", {"sealed": straggler, "id": late}
    )
    context, payload = make_context("tenant.destroy_keys", tenant, {})
    assert destroy_keys(context, payload) == {"destroyed": [], "resealed": 1, "unreadable": 0}, "its grace is not over"
    engine_tenancy.platform.fetch(
        "UPDATE tenant_keys SET retired_at = now() - interval '26 hours' WHERE tenant_id = %(id)s AND version = 1",
        {"id": tenant},
    )
    again, payload = make_context("tenant.destroy_keys", tenant, {})
    assert destroy_keys(again, payload) == {"destroyed": [1], "resealed": 0, "unreadable": 0}
    assert [each["version"] for each in rotation.versions(engine_tenancy, tenant)] == [2]
    assert_opens(engine_tenancy, filled)
    assert (
        result_of(submission(engine_tenancy, tenant, "system.ping", late).row, engine_tenancy.vault(tenant)) == "late"
    )


def test_the_newest_key_is_never_destroyed(engine_tenancy: Tenancy, make_context: MakeContext, tenant: UUID) -> None:
    engine_tenancy.platform.fetch(
        "UPDATE tenant_keys SET retired_at = now() - interval '9 days' WHERE tenant_id = %(id)s", {"id": tenant}
    )
    context, payload = make_context("tenant.destroy_keys", tenant, {})
    assert destroy_keys(context, payload)["destroyed"] == []  # type: ignore[index]
    assert rotation.destroy_retired(engine_tenancy, tenant) == []


def test_an_attempt_that_was_killed_makes_no_second_key(
    engine_tenancy: Tenancy, make_context: MakeContext, filled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies after a few values; the next attempt finds its key and what is left."""
    tenant = filled["tenant"]
    monkeypatch.setattr(resealing, "BATCH", 1)
    context, payload = make_context("tenant.rotate_keys", tenant, {})
    told = 0

    def progress(*_: Any) -> None:
        nonlocal told
        told += 1
        if told == 4:
            raise Cancelled("killed here")

    monkeypatch.setattr(context.sink, "progress", progress)
    with pytest.raises(Cancelled):
        rotate_keys(context, payload)
    assert set.union(*under(engine_tenancy, tenant).values()) == {sealed_under(1), sealed_under(2)}
    assert_opens(engine_tenancy, filled)
    result = rotate_keys(context, payload)
    assert result is not None
    assert result["version"] == 2
    assert set.union(*under(engine_tenancy, tenant).values()) == {sealed_under(2)}
    assert rotate_keys(context, payload)["destroy_at"] == result["destroy_at"], "one destruction, however often it runs"  # type: ignore[index]
    assert_opens(engine_tenancy, filled)


def test_what_is_written_while_a_rotation_reads_is_not_overwritten(
    engine_tenancy: Tenancy, pooled_tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(engine_tenancy, NewJob("system.ping", {"message": "old"}, system("test", pooled_tenant))).id
    rotation.add_version(engine_tenancy, pooled_tenant, new_id())
    vault = engine_tenancy.vault(pooled_tenant)
    newer = vault.seal(b'{"message":"new"}', "jobs", "payload_sealed", job_id)
    opening = Vault.open

    def overtaken(self: Vault, *arguments: Any) -> bytes:
        engine_tenancy.platform.fetch(
            "UPDATE jobs SET payload_sealed = %(new)s WHERE id = %(id)s", {"new": newer, "id": job_id}
        )
        return opening(self, *arguments)

    monkeypatch.setattr(Vault, "open", overtaken)
    resealing.reseal(engine_tenancy, vault, lambda _: None)
    monkeypatch.undo()
    found = submission(engine_tenancy, pooled_tenant, "system.ping", job_id)
    assert found.payload == {"message": "new"}


def test_a_value_that_no_key_opens_does_not_hold_up_a_rotation(
    engine_tenancy: Tenancy, make_context: MakeContext, pooled_tenant: UUID
) -> None:
    damaged = submit(engine_tenancy, NewJob("system.ping", {}, system("test", pooled_tenant))).id
    engine_tenancy.platform.fetch("UPDATE jobs SET payload_sealed = 'damaged' WHERE id = %(id)s", {"id": damaged})
    assert rotate(make_context, pooled_tenant)["unreadable"] == 1


def test_columns_in_the_tenants_own_database_are_resealed_too(
    engine_tenancy: Tenancy, settings: Any, tenant: UUID
) -> None:
    """No model has one yet, so the table is made here."""
    import psycopg

    from tenancy.servers import with_database

    with psycopg.connect(with_database(settings, f"nexus_t_{tenant.hex}")) as owner:
        owner.execute("CREATE TABLE vaulted (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, word_sealed bytea)")
    vault, row = engine_tenancy.vault(tenant), new_id()
    table = SealedTable("vaulted", ("word_sealed",))
    with engine_tenancy.session(tenant) as session:
        session.connection().exec_driver_sql(
            "INSERT INTO vaulted VALUES (%s, %s, %s)", (row, tenant, vault.seal(b"word", "vaulted", "word_sealed", row))
        )
    rotation.add_version(engine_tenancy, tenant, new_id())
    vault = engine_tenancy.vault(tenant)
    resealing.reseal(engine_tenancy, vault, lambda _: None, [table])
    with engine_tenancy.session(tenant) as session:
        sealed = bytes(session.connection().exec_driver_sql("SELECT word_sealed FROM vaulted").scalar_one())
    assert sealed.startswith(sealed_under(2))
    assert vault.open(sealed, "vaulted", "word_sealed", row) == b"word"


def test_the_tenants_account_is_still_known_when_the_key_that_it_was_derived_from_is_gone(
    engine_tenancy: Tenancy, make_context: MakeContext, tenant: UUID
) -> None:
    saga = Provisioner(engine_tenancy.settings, engine_tenancy, tenant)
    role = saga.place.role
    saga.close()
    rotate(make_context, tenant)
    engine_tenancy.platform.fetch("DELETE FROM tenant_keys WHERE tenant_id = %(id)s AND version = 1", {"id": tenant})
    engine_tenancy.directory.forget(tenant)
    saga = Provisioner(engine_tenancy.settings, engine_tenancy, tenant)
    assert saga.place.role == role
    saga.close()


def test_two_rotations_at_once_are_refused(engine_tenancy: Tenancy, pooled_tenant: UUID) -> None:
    new = NewJob("tenant.rotate_keys", {}, system("test", pooled_tenant), unique_key="rotate-keys")
    submit(engine_tenancy, new)
    with pytest.raises(UniqueKeyTaken):
        submit(engine_tenancy, new)


@pytest.fixture
def new_ring(engine_tenancy: Tenancy, web_tenancy: Tenancy) -> Iterator[MasterRing]:
    """Both doors with a new active master key in front of the old one; afterwards all is as before."""
    old = engine_tenancy.ring
    ring = MasterRing((("fresh", os.urandom(32)), *old.keys), kept_origin=old.origin)
    back = MasterRing((*old.keys, *ring.keys[:1]))
    for door in (engine_tenancy, web_tenancy):
        door.ring = ring
        door.directory = type(door.directory)(door.platform, ring)
    yield ring
    engine_tenancy.ring = back
    from tenancy.rewrapping import rewrap

    rewrap(engine_tenancy, lambda _done, _total: None)
    rewrap_signing_keys(web_tenancy.platform, back)
    for door in (engine_tenancy, web_tenancy):
        door.ring = old
        door.directory = type(door.directory)(door.platform, old)


def test_after_a_rewrap_the_old_master_key_is_needed_for_nothing(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, make_context: MakeContext, new_ring: MasterRing, pooled_tenant: UUID
) -> None:
    kid = SigningKeys(web_tenancy.platform, new_ring).active().id
    every = len(web_tenancy.platform.fetch("SELECT id FROM signing_keys", {}))
    assert rewrap_signing_keys(web_tenancy.platform, new_ring) == every > 0
    assert rewrap_signing_keys(web_tenancy.platform, new_ring) == 0
    context, payload = make_context("system.rewrap_keys", pooled_tenant, {"requested_by": "user:x"})
    result = rewrap_keys(context, payload)
    assert result is not None
    assert result["active"] == "fresh"
    assert (result["rewrapped"] > 0, result["unreadable"]) == (True, 0)
    only = MasterRing(new_ring.keys[:1])
    for row in engine_tenancy.platform.fetch("SELECT tenant_id, version, master_key_id, wrapped FROM tenant_keys", {}):
        only.unwrap(row["master_key_id"], bytes(row["wrapped"]), data_key_place(row["tenant_id"], row["version"]))
    assert SigningKeys(web_tenancy.platform, only).active().id == kid
    report = {use.id: use for use in uses(web_tenancy.platform, new_ring)}
    old_id = new_ring.ids[1]
    assert (report["fresh"].active, report["fresh"].removable) == (True, False)
    assert (report[old_id].data_keys, report[old_id].signing_keys, report[old_id].removable) == (0, 0, False)
    engine_tenancy.platform.fetch(
        "UPDATE master_keys SET retired_at = now() - interval '26 hours' WHERE id = %(id)s", {"id": old_id}
    )
    report = {use.id: use for use in uses(web_tenancy.platform, new_ring)}
    assert report[old_id].removable, "its day is over"


def opens(tenancy: Tenancy, tenant_id: UUID, archive_id: UUID, ring: MasterRing) -> bool:
    """Whether the archive's own key can be had with these master keys, as a restore would."""
    with archives.scratch(tenancy.settings) as file:
        fetch(tenancy, tenant_id, archive_id, file)
        file.seek(0)
        try:
            ArchiveReader(file, ring, archives.wrapping(tenancy.platform, tenant_id, archive_id))
        except Permanent as error:
            if error.job_code != "archive_key_missing":
                raise
            return False
    return True


def archived(tenancy: Tenancy, tenant_id: UUID) -> UUID:
    """A new archive of the tenant."""
    made = new_id()
    export(tenancy, tenant_id, made, "export", "user:x", lambda *_: None)
    return made


def rewrapped(make_context: MakeContext, tenant_id: UUID) -> Mapping[str, Any]:
    context, payload = make_context("system.rewrap_keys", tenant_id, {"requested_by": "user:x"})
    result = rewrap_keys(context, payload)
    assert result is not None
    return result


def test_archives_are_opened_by_the_new_master_key_alone_once_they_are_rewrapped(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, make_context: MakeContext, pooled_tenant: UUID,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    """Also one of the time before rows held keys, and one that is there twice over."""
    made, old_style = archived(engine_tenancy, pooled_tenant), archived(engine_tenancy, pooled_tenant)
    engine_tenancy.platform.fetch(
        "UPDATE tenant_archives SET master_key_id = NULL, wrapped = NULL WHERE id = %(id)s", {"id": old_style}
    )
    ring: MasterRing = request.getfixturevalue("new_ring")
    only, old_id = MasterRing(ring.keys[:1], kept_origin=ring.kept_origin), ring.ids[1]
    assert [opens(engine_tenancy, pooled_tenant, each, only) for each in (made, old_style)] == [False, False]
    before = {use.id: use for use in uses(web_tenancy.platform, ring)}
    assert before[old_id].archives >= 2
    assert rewrapped(make_context, pooled_tenant)["archives"] >= 2
    assert [opens(engine_tenancy, pooled_tenant, each, only) for each in (made, old_style)] == [True, True]
    after = {use.id: use for use in uses(web_tenancy.platform, ring)}
    assert (after[old_id].archives, after["fresh"].archives >= 2) == (0, True)
    assert rewrapped(make_context, pooled_tenant)["archives"] == 0, "once is enough"


def test_one_archive_that_cannot_be_opened_is_counted_and_holds_up_no_other(
    engine_tenancy: Tenancy, make_context: MakeContext, pooled_tenant: UUID, request: pytest.FixtureRequest
) -> None:
    broken, whole = archived(engine_tenancy, pooled_tenant), archived(engine_tenancy, pooled_tenant)
    engine_tenancy.platform.fetch(
        "UPDATE tenant_archives SET wrapped = 'x', master_key_id = 'gone' WHERE id = %(id)s", {"id": broken}
    )
    ring: MasterRing = request.getfixturevalue("new_ring")
    result = rewrapped(make_context, pooled_tenant)
    assert (result["archives"] >= 1, result["unreadable"]) == (True, 1)
    assert opens(engine_tenancy, pooled_tenant, whole, ring)
    archives.delete(engine_tenancy, pooled_tenant, broken)


def test_the_origin_is_not_removable_unless_it_was_set_apart(web_tenancy: Tenancy) -> None:
    old = web_tenancy.ring
    apart = MasterRing((("fresh", os.urandom(32)), *old.keys), kept_origin=old.origin)
    together = MasterRing(apart.keys)
    note_ring(web_tenancy.platform, apart)
    web_tenancy.platform.fetch("UPDATE master_keys SET retired_at = now() - interval '26 hours' WHERE id <> 'fresh'", {},
                               operator_scope())  # fmt: skip
    origins = {use.id: use.origin for use in uses(web_tenancy.platform, together)}
    assert [name for name, origin in origins.items() if origin] == [old.ids[-1]]
    assert not any(use.removable for use in uses(web_tenancy.platform, together) if use.id == old.ids[-1])
    assert not any(use.origin for use in uses(web_tenancy.platform, apart))
    note_ring(web_tenancy.platform, old)


def test_accounts_and_signatures_outlive_every_master_key(settings: Settings) -> None:
    """What `NEXUS_ORIGIN_KEY` keeps: the oldest key leaves, and nothing that was derived from it changes."""
    assert settings.master_keys is not None
    old, fresh = settings.master_keys.get_secret_value(), base64.b64encode(os.urandom(32)).decode()

    def with_keys(**given: str) -> Settings:
        return settings_like(settings, **given)

    before = with_keys(NEXUS_MASTER_KEYS=f"fresh:{fresh},{old}")
    kept = with_keys(NEXUS_MASTER_KEYS=f"fresh:{fresh}", NEXUS_ORIGIN_KEY=oldest_local_key(old))
    lost = with_keys(NEXUS_MASTER_KEYS=f"fresh:{fresh}")
    assert (before.web_dsn, before.engine_dsn) == (settings.web_dsn, settings.engine_dsn)
    assert (kept.web_dsn, kept.engine_dsn) == (settings.web_dsn, settings.engine_dsn)
    assert lost.web_dsn != settings.web_dsn, "which is why it is to be set"
    public = signer(open_ring(settings).origin).public_key().public_bytes_raw()
    assert signer(open_ring(kept).origin).public_key().public_bytes_raw() == public
    assert signer(open_ring(lost).origin).public_key().public_bytes_raw() != public
    door = Tenancy(kept, "web")
    try:
        assert door.platform.fetch("SELECT 1 AS one", {}) == [{"one": 1}], "the account is still the one that is there"
    finally:
        door.dispose()
    assert open_ring(kept).verifying == (open_ring(settings).origin, base64.b64decode(fresh))


@pytest.mark.parametrize("text", ["", "x", base64.b64encode(b"short").decode(), "ä" * 44])
def test_an_origin_that_is_no_key_is_refused(settings: Settings, text: str) -> None:
    with pytest.raises(SettingsError, match="NEXUS_ORIGIN_KEY"):
        settings_like(settings, NEXUS_ORIGIN_KEY=text)


def settings_like(settings: Settings, **given: str) -> Settings:
    """The same settings with some others."""
    known = {
        str(Settings.model_fields[name].alias): getattr(settings, name)
        for name in settings.model_fields_set
        if getattr(settings, name) is not None
    }
    return load(_env_file=None, **{**known, **given})

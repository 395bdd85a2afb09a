"""Keys of both levels are rotated under load while workers are killed: no request fails, and no value is lost."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx2
import pytest

from bench.engine import Engine, until
from bench.service import start_web
from bench.tenant_client import TenantClient
from config.settings import Settings, load
from domain.identity.principals import system
from domain.ids import new_id
from jobs.provisioning import ensure_provisioning
from jobs.submit import NewJob, insert_parameters, submit
from tenancy.access import Tenancy
from tests.conftest import Cluster
from tests.faults.conftest import prepared_platform, state

pytestmark = pytest.mark.faults

HISTORY = 4000
"""Finished jobs of the tenant: so much is to be sealed anew that a kill finds the rotation at work."""


@pytest.fixture(scope="module")
def platform(cluster: Cluster, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One that no other test shares: what it holds cannot be opened with the others' master key afterwards."""
    return prepared_platform(cluster, f"nexus_rotation_{worker_id}", tmp_path_factory.mktemp("rotation"))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The platform with a new master key in front of the one that everything stands under."""
    assert settings.master_keys is not None
    old = settings.master_keys.get_secret_value()
    fresh = f"fresh{new_id().hex[-8:]}:{base64.b64encode(os.urandom(32)).decode()}"
    given = {
        str(Settings.model_fields[name].alias): getattr(settings, name)
        for name in settings.model_fields_set
        if getattr(settings, name) is not None
    }
    return load(_env_file=None, **{**given, "NEXUS_MASTER_KEYS": f"{fresh},{old}"})


class Load:
    """Clients that submit jobs and read them back, and remember each answer that was not a success."""

    def __init__(self, base_url: str, headers: dict[str, str], known: list[UUID]):
        self._http = httpx2.Client(base_url=f"{base_url}/api/v1", headers=headers, timeout=30.0)
        self._stop = threading.Event()
        self._known = known
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(3)]
        self.failed: list[str] = []
        self.submitted: list[UUID] = []
        self.answered = 0

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._http.close()

    def _work(self, number: int) -> None:
        turn = number
        while not self._stop.wait(0.01):
            job = self._ask("POST", "/jobs", json={"kind": "system.ping", "payload": {"message": f"turn {turn}"}})
            if job is not None:
                self.submitted.append(UUID(job["id"]))
                self._ask("GET", f"/jobs/{job['id']}")
            old = self._ask("GET", f"/jobs/{self._known[turn % len(self._known)]}")
            if old is not None and old["result"] != {"message": "kept"}:
                self.failed.append(f"a result became {old['result']}")
            self._ask("GET", "/jobs", params={"limit": 5})
            turn += 3

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            self.failed.append(f"{method} {path}: {error!r}")
            return None
        self.answered += 1
        if not answer.is_success:
            self.failed.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            return None
        return answer.json()


@pytest.fixture
def web(engine: Engine) -> str:
    """The address of a real API process."""
    return start_web(engine)[1]


@pytest.fixture
def first(engine: Engine) -> subprocess.Popen[bytes]:
    """The worker that is killed."""
    return engine.worker("default", "provisioning", "notifications", name="first")


@pytest.fixture
def owner(web: str, engine: Engine, tenancy: Tenancy, first: subprocess.Popen[bytes]) -> Iterator[TenantClient]:
    """The owner of a dedicated tenant, made through the engine. The operator's tenant is made as well."""
    engine.dispatcher()
    admin = tenancy.platform.fetch("SELECT id, created_by, state FROM tenants WHERE is_operator", {})[0]
    if admin["state"] != "active":
        job = ensure_provisioning(tenancy, admin["id"], admin["created_by"]).id
        until(lambda: state(tenancy, job) == "succeeded", 60, "the operator's tenant")
    with TenantClient.create(web, tier="dedicated") as client:
        yield client


def history(tenancy: Tenancy, tenant_id: UUID) -> list[UUID]:
    """Finished jobs with sealed payloads and results, as after a while of work."""
    vault, made = tenancy.vault(tenant_id), []
    with tenancy.platform.session({}) as session:
        rows = []
        for _ in range(HISTORY):
            new = insert_parameters(tenancy, NewJob("system.ping", {}, system("test", tenant_id)), vault)
            new["result"] = vault.seal(b'{"message":"kept"}', "jobs", "result_sealed", new["id"])
            rows.append(new)
            made.append(new["id"])
        session.connection().exec_driver_sql(
            "INSERT INTO jobs (id, tenant_id, kind, queue, state, max_attempts, deadline_seconds, payload_sealed,"
            " result_sealed, principal, finished_at, expires_at) VALUES (%(id)s, %(tenant_id)s, 'system.ping', 'default',"
            " 'succeeded', 5, 60, %(payload_sealed)s, %(result)s, 'system:test', now(), now() + interval '1 day')", rows,
        )  # fmt: skip
    return made


def admin_headers(web: str) -> dict[str, str]:
    """A signed-in operator of the platform."""
    body = {"email": "admin@example.com", "password": "correct horse battery"}
    token = httpx2.post(f"{web}/api/v1/auth/login", json=body, timeout=30.0).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.timeout(300)
def test_keys_of_both_levels_rotate_under_load_and_through_a_kill_without_a_failed_request(
    web: str, engine: Engine, tenancy: Tenancy, first: subprocess.Popen[bytes], owner: TenantClient, settings: Settings
) -> None:
    known = history(tenancy, owner.tenant_id)
    login = admin_headers(web)
    with Load(web, owner.headers, known) as load:
        until(lambda: load.answered > 50, 60, "the load")
        rotation = rotate(tenancy, owner)
        until(lambda: _progress(tenancy, rotation) > 200, 90, "the rotation at work")
        engine.kill(first)
        killed_at = _progress(tenancy, rotation)
        rewrap = httpx2.post(f"{web}/api/v1/admin/keys/rewrap", headers=login, timeout=30.0)
        assert rewrap.status_code == 202, rewrap.text
        engine.worker("default", "provisioning", name="second")
        until(lambda: state(tenancy, rotation) == "succeeded", 120, "the rotation on the other worker")
        until(lambda: state(tenancy, UUID(rewrap.json()["id"])) == "succeeded", 60, "the rewrapping")
        so_far = load.answered
        until(lambda: load.answered > so_far + 50, 60, "the load afterwards")
    assert 200 < killed_at < HISTORY
    assert load.failed == []
    row = tenancy.platform.fetch("SELECT attempt FROM jobs WHERE id = %(id)s", {"id": rotation})[0]
    assert row["attempt"] == 2
    keys = tenancy.platform.fetch(
        "SELECT version, master_key_id FROM tenant_keys WHERE tenant_id = %(id)s ORDER BY version",
        {"id": owner.tenant_id},
    )
    assert [(key["version"], key["master_key_id"]) for key in keys] == [
        (number, settings.master_key_ring[0][0]) for number in (1, 2)
    ]
    until(lambda: _unfinished(tenancy, load.submitted) == 0, 60, "every job that was submitted")
    left = tenancy.platform.fetch(
        "SELECT count(*) AS rows FROM jobs WHERE tenant_id = %(id)s AND id = ANY(%(known)s)"
        " AND (substr(payload_sealed, 1, 3) <> '\\x010002' OR substr(result_sealed, 1, 3) <> '\\x010002')",
        {"id": owner.tenant_id, "known": known},
    )
    assert left == [{"rows": 0}]


def rotate(tenancy: Tenancy, owner: TenantClient) -> UUID:
    """Submit the rotation. Its route is for who may change the tenant, which the key of the load's client may not."""
    new = NewJob("tenant.rotate_keys", {}, system("test", owner.tenant_id), unique_key="rotate-keys")
    return submit(tenancy, new).id


def _progress(tenancy: Tenancy, job_id: UUID) -> int:
    row = tenancy.platform.fetch("SELECT progress_done FROM jobs WHERE id = %(id)s", {"id": job_id})[0]
    return row["progress_done"] or 0


def _unfinished(tenancy: Tenancy, jobs: list[UUID]) -> int:
    time.sleep(0.2)
    rows = tenancy.platform.fetch(
        "SELECT count(*) AS jobs FROM jobs WHERE id = ANY(%(ids)s) AND state <> 'succeeded'", {"ids": jobs}
    )
    return int(rows[0]["jobs"])

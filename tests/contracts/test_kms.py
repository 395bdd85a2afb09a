"""Master keys at AWS KMS: bound to their place, asked rarely, and away without a loss."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pytest_httpserver import HTTPServer

from config.settings import SettingsError
from domain.errors import Transient
from providers.kms.aws import AwsKeyService
from providers.kms.base import KeyRefused
from tenancy.masters import open_ring
from tenancy.vault import MasterRing, SealBroken, new_data_key
from tests.contracts.conftest import SettingsMaker

LOCAL = "k1:" + "A" * 43 + "="


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's account, as boto3 finds it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """KMS as moto serves it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def kms(endpoint: str) -> Iterator[Any]:
    """An administrator's client beside ours."""
    client = boto3.session.Session().client("kms", endpoint_url=endpoint, region_name="us-east-1")
    yield client
    client.close()


@pytest.fixture
def key_id(kms: Any) -> str:
    """A fresh key at the service, as a ring names it."""
    return f"kms:{kms.create_key()['KeyMetadata']['Arn']}"


@pytest.fixture
def service(endpoint: str) -> AwsKeyService:
    return AwsKeyService(endpoint, "us-east-1")


def counted(service: AwsKeyService) -> list[str]:
    """The calls that reach the service from now on."""
    calls: list[str] = []
    service._kms().meta.events.register("before-call.kms", lambda model, **_: calls.append(model.name))
    return calls


def test_a_wrapped_key_opens_at_its_place_only(service: AwsKeyService, key_id: str) -> None:
    plain, wrapped = service.make(key_id, "tenant_keys|t|1")
    assert len(plain) == 32
    assert plain not in wrapped
    assert service.open(key_id, wrapped, "tenant_keys|t|1") == plain
    with pytest.raises(KeyRefused):
        service.open(key_id, wrapped, "tenant_keys|t|2")
    with pytest.raises(KeyRefused):
        service.open(key_id, wrapped[:-1] + bytes([wrapped[-1] ^ 1]), "tenant_keys|t|1")


def test_an_opened_key_is_remembered_for_a_while_and_only_so_many_are(endpoint: str, key_id: str) -> None:
    service = AwsKeyService(endpoint, "us-east-1", kept=2, kept_seconds=3600)
    made = [service.make(key_id, f"place {number}")[1] for number in range(3)]
    calls = counted(service)
    service.open(key_id, made[2], "place 2")
    service.open(key_id, made[1], "place 1")
    assert calls == []
    service.open(key_id, made[0], "place 0")
    assert calls == ["Decrypt"]
    assert len(service._opened) == 2
    forgetful = AwsKeyService(endpoint, "us-east-1", kept_seconds=0)
    calls = counted(forgetful)
    for _ in range(2):
        forgetful.open(key_id, made[0], "place 0")
    assert calls == ["Decrypt", "Decrypt"]


def test_a_service_that_is_away_is_transient_and_asked_once_in_a_while() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        service = AwsKeyService(f"http://127.0.0.1:{unused.getsockname()[1]}", "us-east-1")
        calls = counted(service)
        for _ in range(3):
            with pytest.raises(Transient) as raised:
                service.make("kms:alias/nexus", "place")
            assert raised.value.job_code == "key_service_unavailable"
    assert calls == ["GenerateDataKey"]


@pytest.mark.parametrize(
    ("status", "code", "meant"),
    [
        (400, "DisabledException", Transient), (400, "AccessDeniedException", Transient),
        (400, "NotFoundException", Transient), (400, "ThrottlingException", Transient),
        (500, "KMSInternalException", Transient), (400, "InvalidCiphertextException", KeyRefused),
        (400, "IncorrectKeyException", KeyRefused),
    ],
)  # fmt: skip
def test_what_an_operator_can_mend_is_transient_and_only_a_wrong_key_is_refused(
    httpserver: HTTPServer, status: int, code: str, meant: type[Exception]
) -> None:
    httpserver.expect_request("/").respond_with_json({"__type": code, "message": "no"}, status=status)
    service = AwsKeyService(httpserver.url_for("").rstrip("/"), "us-east-1")
    with pytest.raises(meant) as raised:
        service.open("kms:alias/nexus", b"wrapped", "place")
    assert getattr(raised.value, "job_code", "refused") == (
        "refused" if meant is KeyRefused else "key_service_unavailable"
    )


def test_a_key_that_nobody_has_made_is_transient(service: AwsKeyService) -> None:
    with pytest.raises(Transient):
        service.make("kms:alias/nobody", "place")


@pytest.mark.parametrize("size", [32, 5, 0, 100_000])
def test_a_ring_wraps_anything_under_a_key_at_the_service(service: AwsKeyService, key_id: str, size: int) -> None:
    ring, secret = MasterRing(((key_id, None),), service), b"s" * size
    used, wrapped = ring.wrap(secret, "place")
    assert used == key_id
    assert ring.unwrap(key_id, wrapped, "place") == secret
    for broken in (wrapped[:-1], wrapped[:1], b"", wrapped[:10]):
        with pytest.raises(SealBroken):
            ring.unwrap(key_id, broken, "place")
    with pytest.raises(SealBroken):
        ring.unwrap(key_id, wrapped, "elsewhere")


def test_a_ring_moves_from_a_local_key_to_the_service_and_back(service: AwsKeyService, key_id: str) -> None:
    local, secret = ("k1", new_data_key()), new_data_key()
    _, old = MasterRing((local,)).wrap(secret, "place")
    both = MasterRing(((key_id, None), local), service)
    assert both.unwrap("k1", old, "place") == secret
    _, new = both.wrap(both.unwrap("k1", old, "place"), "place")
    back = MasterRing((local, (key_id, None)), service)
    assert back.unwrap(key_id, new, "place") == secret
    assert back.wrap(secret, "place")[0] == "k1"


def test_the_settings_name_keys_at_the_service_beside_local_ones(
    settings: SettingsMaker, endpoint: str, kms: Any
) -> None:
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/nexus", TargetKeyId=arn)
    made = settings(NEXUS_MASTER_KEYS=f"kms:alias/nexus,kms:{arn},{LOCAL}", NEXUS_KMS_ENDPOINT=endpoint)
    ring = open_ring(made)
    assert ring.ids == ("kms:alias/nexus", f"kms:{arn}", "k1")
    place = {"DATABASE_URL": "postgresql://owner@localhost/nexus"}
    beside, alone = (settings(NEXUS_MASTER_KEYS=keys, **place) for keys in (f"kms:{arn},{LOCAL}", LOCAL))
    assert beside.login_role("nexus_web") == alone.login_role("nexus_web"), "accounts are derived from a local key"
    key_id, wrapped = ring.wrap(b"secret", "place")
    assert (key_id, ring.unwrap(key_id, wrapped, "place")) == ("kms:alias/nexus", b"secret")


@pytest.mark.parametrize(
    "ring", ["kms:alias/nexus", "kms:nexus", f"{LOCAL},{LOCAL}", f"kms:alias/a,kms:alias/a,{LOCAL}"]
)
def test_a_ring_that_cannot_work_is_refused_by_name(settings: SettingsMaker, ring: str) -> None:
    with pytest.raises(SettingsError, match="NEXUS_MASTER_KEYS: "):
        settings(NEXUS_MASTER_KEYS=ring)

"""AWS KMS. The place is the encryption context: authenticated by KMS, and shown in its audit log.

Opened keys are remembered for a while, so that the service is asked about a tenant once per process and not once per
read, and so that a short absence of it goes unnoticed. At most `_KEPT` of them, the least recently used leave first.
Retries within a call have one owner: botocore's, bounded here.
Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from domain.errors import Transient
from providers.calls import Calling
from providers.kms.base import KeyRefused

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

T = TypeVar("T")

_KEPT = 4096
_KEPT_SECONDS = 300.0
_TIMEOUT_SECONDS = 2.0
_ATTEMPTS = 2
_SILENCE_SECONDS = 2.0
"""While the service does not answer, only one call in this time finds out again, so that a caller with other work goes on."""
UNAVAILABLE = "key_service_unavailable"
_REFUSED = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class AwsKeyService:
    """Speaks with KMS at `endpoint` (None: Amazon's) in `region`, as the account that the environment or machine gives."""

    def __init__(self, endpoint: str | None, region: str, *, kept: int = _KEPT, kept_seconds: float = _KEPT_SECONDS):
        self._endpoint = endpoint
        self._region = region
        self._kept = kept
        self._kept_seconds = kept_seconds
        self._lock = threading.Lock()
        self._opened: OrderedDict[tuple[str, bytes, str], tuple[float, bytes]] = OrderedDict()
        self._client: tuple[int, Any] | None = None
        self._silent_until = 0.0

    def make(self, key_id: str, place: str) -> tuple[bytes, bytes]:
        answer = self._ask(
            lambda kms: kms.generate_data_key(
                KeyId=_name(key_id), KeySpec="AES_256", EncryptionContext={"place": place}
            )
        )
        plain, wrapped = bytes(answer["Plaintext"]), bytes(answer["CiphertextBlob"])
        self._remember((key_id, wrapped, place), plain)
        return plain, wrapped

    def open(self, key_id: str, wrapped: bytes, place: str) -> bytes:
        known = (key_id, wrapped, place)
        with self._lock:
            kept = self._opened.get(known)
            if kept is not None and kept[0] > time.monotonic():
                self._opened.move_to_end(known)
                return kept[1]
        answer = self._ask(
            lambda kms: kms.decrypt(KeyId=_name(key_id), CiphertextBlob=wrapped, EncryptionContext={"place": place})
        )
        plain = bytes(answer["Plaintext"])
        self._remember(known, plain)
        return plain

    def _remember(self, known: tuple[str, bytes, str], plain: bytes) -> None:
        with self._lock:
            self._opened[known] = (time.monotonic() + self._kept_seconds, plain)
            self._opened.move_to_end(known)
            while len(self._opened) > self._kept:
                self._opened.popitem(last=False)

    def _ask(self, call: Callable[[Any], T]) -> T:
        from botocore.exceptions import BotoCoreError, ClientError

        if time.monotonic() < self._silent_until:
            raise Transient("The key service could not be reached a moment ago.", code=UNAVAILABLE)
        with Calling("kms", "key"):
            try:
                return call(self._kms())
            except ClientError as error:
                raise _meaning(error) from error
            except BotoCoreError as error:
                self._silent_until = time.monotonic() + _SILENCE_SECONDS
                raise Transient("The key service cannot be reached.", code=UNAVAILABLE) from error

    def _kms(self) -> Any:
        """The client of this process: a forked child must not share its parent's connections."""
        if self._client is None or self._client[0] != os.getpid():
            import boto3
            from botocore.config import Config

            config = Config(
                connect_timeout=_TIMEOUT_SECONDS,
                read_timeout=_TIMEOUT_SECONDS,
                retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            )
            session = boto3.session.Session()
            client = session.client("kms", endpoint_url=self._endpoint, region_name=self._region, config=config)
            self._client = (os.getpid(), client)
        return self._client[1]


def _name(key_id: str) -> str:
    """The key as KMS knows it; in a ring its id says in front that it is there."""
    return key_id.removeprefix("kms:")


def _meaning(error: ClientError) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _REFUSED:
        return KeyRefused(code)
    # Everything else is about the service, the account or the key's state, which an operator can mend: nothing is lost.
    return Transient(f"The key service did not answer ({code or 'no code'}).", code=UNAVAILABLE)

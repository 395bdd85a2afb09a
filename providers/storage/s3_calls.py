"""Calling S3: the account, the client, the meaning of its errors, and the one policy for repeating a call.

Retries have one owner: tenacity here, for connections cut and servers overloaded, because every call is idempotent and
a job should not start over for one lost packet. botocore's own are off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from domain.errors import JobError, Permanent, RateLimited, Transient
from providers.calls import Calling

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from types_boto3_s3 import S3Client

T = TypeVar("T")

_ATTEMPTS, _PATIENT_ATTEMPTS = 3, 6
_CLIENTS_KEPT = 64
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_SLOW_DOWN = frozenset({"SlowDown", "Throttling", "TooManyRequests", "429"})
_CHANGED = frozenset({"NoSuchUpload", "PreconditionFailed", "412"})
_REPEATABLE = frozenset({"RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted"})


@dataclass(frozen=True, slots=True)
class S3Account:
    """Where and as whom. Without keys boto3 looks for the machine's own role, which only the platform may use."""

    endpoint: str | None
    region: str
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    timeout: float = 20.0


@lru_cache(maxsize=_CLIENTS_KEPT)
def s3_client(account: S3Account) -> S3Client:
    """Clients are safe to share among threads and slow to build; opened after a fork, since buckets are."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=account.timeout,
        read_timeout=account.timeout,
        retries={"mode": "standard", "total_max_attempts": 1},
        s3={"addressing_style": "path"} if account.endpoint else {},
        # Newer checksums in trailers are AWS's own; other servers refuse them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=account.endpoint,
        region_name=account.region,
        aws_access_key_id=account.access_key,
        aws_secret_access_key=account.secret_key,
        config=config,
    )


@retry(
    retry=retry_if_exception_type(Transient),
    stop=stop_after_attempt(_ATTEMPTS),
    wait=wait_random_exponential(multiplier=0.1, max=2.0),
    reraise=True,
)
def repeatedly(call: Callable[[], T]) -> T:
    """`once`, up to three times while the error is `Transient`, with a growing random pause of at most 2 seconds."""
    with Calling("s3", "call", quiet=True):
        return once(call)


@retry(
    retry=retry_if_exception_type(Transient),
    stop=stop_after_attempt(_PATIENT_ATTEMPTS),
    wait=wait_random_exponential(multiplier=0.25, max=10.0),
    reraise=True,
)
def patiently(call: Callable[[], T]) -> T:
    """As `repeatedly`, up to six times with longer pauses: for a part of what would have to begin anew."""
    with Calling("s3", "call", quiet=True):
        return once(call)


def once(call: Callable[[], T]) -> T:
    """Run `call`, with the vendor's errors translated."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except (ClientError, BotoCoreError) as error:
        raise _failure(error) from error


def _failure(error: Any) -> JobError:
    from botocore.exceptions import ClientError, NoCredentialsError, ParamValidationError, PartialCredentialsError

    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return Permanent("The object store needs credentials.", code="provider_unauthorized")
    if isinstance(error, ParamValidationError):
        return Permanent("The object store's client refused the request.", code="provider_rejected")
    if not isinstance(error, ClientError):
        return Transient("The object store cannot be reached.", code="storage_unavailable")
    return _answered(error)


def _answered(error: ClientError) -> JobError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchBucket":
        return Permanent("The bucket does not exist.", code="bucket_not_found")
    if code in _MISSING:
        return Permanent("There is no such object.", code="object_not_found")
    if code in _SLOW_DOWN or status == 429:
        return RateLimited("The object store asks to wait.")
    if code in _CHANGED:
        return Transient("The object or its upload was replaced or given up meanwhile.", code="storage_unavailable")
    if code in _REPEATABLE or status >= 500:
        return Transient(f"The object store failed ({code}).", code="storage_unavailable")
    if status in (401, 403):
        return Permanent(f"The object store refused the credentials ({code}).", code="provider_unauthorized")
    return Permanent(f"The object store refused the request ({code}).", code="provider_rejected")

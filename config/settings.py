"""One frozen, typed Settings object, read once from the environment and `.env`.

Every process calls `load()` first. A missing or invalid value raises `SettingsError`, which holds one line per
problem, names the variable and never repeats its value, so that a secret cannot reach a terminal or a log.
Unset service addresses mean the embedded service, whose address `nexus up` puts into the environment.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from config.addresses import with_address, with_credentials
from config.checks import (
    BrokerUrl,
    Port,
    PostgresUrl,
    RedisUrl,
    SettingsError,
    key,
    networks,
    oldest,
    parse_key_ring,
    scheme,
    web_address,
)

__all__ = [
    "ENGINE_ROLE",
    "WEB_ROLE",
    "Settings",
    "SettingsError",
    "current",
    "load",
    "oldest_local_key",
    "with_address",
    "with_credentials",
]

WEB_ROLE = "nexus_web"
ENGINE_ROLE = "nexus_engine"
"""The two groups that migrations grant to. Each platform has a login role of its own in each."""


class Settings(BaseSettings):
    """All that an operator can set. Field order is the order of `.env.example`; aliases are the variables' names."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", frozen=True, extra="ignore")

    environment: Literal["development", "production"] = Field("development", alias="NEXUS_ENV")
    home: Path = Field(Path("var"), alias="NEXUS_HOME")
    host: str = Field("127.0.0.1", alias="NEXUS_HOST")
    port: Port = Field(8000, alias="NEXUS_PORT")
    public_url: str | None = Field(None, alias="NEXUS_PUBLIC_URL")
    admin_email: str | None = Field(None, alias="NEXUS_ADMIN_EMAIL")
    admin_password: SecretStr | None = Field(None, alias="NEXUS_ADMIN_PASSWORD")
    app_url: str | None = Field(None, alias="NEXUS_APP_URL")
    require_verified_email: bool | None = Field(None, alias="NEXUS_REQUIRE_VERIFIED_EMAIL")
    login_address_failures: int = Field(50, ge=5, le=1_000_000, alias="NEXUS_LOGIN_ADDRESS_FAILURES")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", alias="NEXUS_LOG_LEVEL")
    log_format: Literal["json", "console"] = Field("json", alias="NEXUS_LOG_FORMAT")
    metrics: Literal["off", "totals", "tenants"] = Field("totals", alias="NEXUS_METRICS")
    otlp_endpoint: Annotated[str | None, web_address()] = Field(None, alias="OTEL_EXPORTER_OTLP_ENDPOINT")

    database_url: PostgresUrl | None = Field(None, alias="DATABASE_URL")
    database_web_url: PostgresUrl | None = Field(None, alias="DATABASE_WEB_URL")
    database_engine_url: PostgresUrl | None = Field(None, alias="DATABASE_ENGINE_URL")
    database_pooler_url: PostgresUrl | None = Field(None, alias="DATABASE_POOLER_URL")
    redis_url: RedisUrl | None = Field(None, alias="REDIS_URL")
    broker_url: BrokerUrl | None = Field(None, alias="BROKER_URL")
    broker_queues: Literal["classic", "quorum"] = Field("classic", alias="NEXUS_BROKER_QUEUES")
    master_keys: Annotated[SecretStr | None, NoDecode] = Field(None, alias="NEXUS_MASTER_KEYS")
    origin_key: Annotated[SecretStr | None, key()] = Field(None, alias="NEXUS_ORIGIN_KEY")
    kms_endpoint: str | None = Field(None, alias="NEXUS_KMS_ENDPOINT")
    kms_region: str = Field("us-east-1", alias="NEXUS_KMS_REGION")

    default_tier: Literal["dedicated", "pooled"] = Field("dedicated", alias="NEXUS_DEFAULT_TIER")
    tenant_engine_limit: int = Field(32, ge=1, le=10_000, alias="NEXUS_TENANT_ENGINE_LIMIT")
    tenant_pool_size: int = Field(2, ge=1, le=100, alias="NEXUS_TENANT_POOL_SIZE")
    platform_pool_size: int = Field(8, ge=1, le=200, alias="NEXUS_PLATFORM_POOL_SIZE")
    web_workers: int = Field(1, ge=1, le=64, alias="NEXUS_WEB_WORKERS")
    worker_io_concurrency: int = Field(16, ge=1, le=1000, alias="NEXUS_WORKER_IO_CONCURRENCY")
    worker_cpu_concurrency: int = Field(2, ge=1, le=256, alias="NEXUS_WORKER_CPU_CONCURRENCY")
    worker_stop_seconds: float = Field(25.0, ge=0.1, le=86_400, alias="NEXUS_WORKER_STOP_SECONDS")
    lease_seconds: float = Field(15.0, ge=1, le=3600, alias="NEXUS_LEASE_SECONDS")
    billing_tick_seconds: float = Field(10.0, ge=0.2, le=86_400, alias="NEXUS_BILLING_TICK_SECONDS")
    tenant_grace_days: float = Field(30.0, ge=0, le=3650, alias="NEXUS_TENANT_GRACE_DAYS")
    backup_hours: float = Field(0.0, ge=0, le=8760, alias="NEXUS_BACKUP_HOURS")
    platform_backup_hours: float = Field(0.0, ge=0, le=8760, alias="NEXUS_PLATFORM_BACKUP_HOURS")
    backup_folder: Path | None = Field(None, alias="NEXUS_BACKUP_FOLDER")
    backup_bucket: str | None = Field(None, alias="NEXUS_BACKUP_BUCKET")
    archive_limit_bytes: int = Field(10_737_418_240, ge=1024, alias="NEXUS_ARCHIVE_LIMIT_BYTES")
    batch_limit: int = Field(64, ge=1, le=256, alias="NEXUS_BATCH_LIMIT")
    audit_retention_days: int = Field(400, ge=30, le=36_500, alias="NEXUS_AUDIT_RETENTION_DAYS")

    max_body_bytes: int = Field(1_048_576, ge=1024, le=104_857_600, alias="NEXUS_MAX_BODY_BYTES")
    body_seconds: float = Field(30.0, ge=0.1, le=3600, alias="NEXUS_BODY_SECONDS")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field((), alias="NEXUS_CORS_ORIGINS")
    rate_limit: str = Field("6000/minute", alias="NEXUS_RATE_LIMIT")
    tenant_rate_limit: str = Field("120000/minute", alias="NEXUS_TENANT_RATE_LIMIT")
    anonymous_rate_limit: str = Field("120/minute", alias="NEXUS_ANONYMOUS_RATE_LIMIT")

    webhook_private_networks: Annotated[str, networks()] = Field("", alias="NEXUS_WEBHOOK_PRIVATE_NETWORKS")
    llm_private_networks: Annotated[str, networks()] = Field("", alias="NEXUS_LLM_PRIVATE_NETWORKS")
    search_private_networks: Annotated[str, networks()] = Field("", alias="NEXUS_SEARCH_PRIVATE_NETWORKS")

    tenant_private_networks: Annotated[str, networks()] = Field("", alias="NEXUS_TENANT_PRIVATE_NETWORKS")

    flower_port: Port = Field(5555, alias="FLOWER_PORT")
    flower_user: str = Field("operator", alias="FLOWER_USER")
    flower_password: SecretStr | None = Field(None, alias="FLOWER_PASSWORD")

    smtp_url: Annotated[SecretStr | None, scheme("smtp", "smtps", "smtp+starttls")] = Field(None, alias="SMTP_URL")
    mail_from: str = Field("Nexus <no-reply@nexus.localhost>", alias="MAIL_FROM")
    ses_region: str | None = Field(None, alias="SES_REGION")
    ses_access_key: str | None = Field(None, alias="SES_ACCESS_KEY")
    ses_secret_key: SecretStr | None = Field(None, alias="SES_SECRET_KEY")
    ses_endpoint: str | None = Field(None, alias="SES_ENDPOINT")
    sns_endpoint: str | None = Field(None, alias="SNS_ENDPOINT")
    twilio_account_sid: str | None = Field(None, alias="TWILIO_ACCOUNT_SID")
    twilio_auth_token: SecretStr | None = Field(None, alias="TWILIO_AUTH_TOKEN")
    twilio_from: str | None = Field(None, alias="TWILIO_FROM")
    twilio_api_base: str | None = Field(None, alias="TWILIO_API_BASE")
    fcm_service_account: SecretStr | None = Field(None, alias="FCM_SERVICE_ACCOUNT")
    fcm_api_base: str | None = Field(None, alias="FCM_API_BASE")
    fcm_token_url: str | None = Field(None, alias="FCM_TOKEN_URL")
    vapid_private_key: SecretStr | None = Field(None, alias="VAPID_PRIVATE_KEY")
    vapid_subject: str = Field("mailto:no-reply@nexus.localhost", alias="VAPID_SUBJECT")
    s3_bucket: str | None = Field(None, alias="S3_BUCKET")
    s3_endpoint: str | None = Field(None, alias="S3_ENDPOINT")
    s3_region: str = Field("us-east-1", alias="S3_REGION")
    s3_access_key: SecretStr | None = Field(None, alias="S3_ACCESS_KEY")
    s3_secret_key: SecretStr | None = Field(None, alias="S3_SECRET_KEY")
    openai_api_key: SecretStr | None = Field(None, alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(None, alias="OPENAI_BASE_URL")
    anthropic_api_key: SecretStr | None = Field(None, alias="ANTHROPIC_API_KEY")
    anthropic_base_url: str | None = Field(None, alias="ANTHROPIC_BASE_URL")
    stripe_api_key: SecretStr | None = Field(None, alias="STRIPE_API_KEY")
    stripe_api_base: str | None = Field(None, alias="STRIPE_API_BASE")
    stripe_webhook_secret: SecretStr | None = Field(None, alias="STRIPE_WEBHOOK_SECRET")

    @property
    def base_url(self) -> str:
        """The address that clients see, without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def verification_required(self) -> bool:
        """Whether an account must have a verified email before it makes tenants or brings others into one."""
        if self.require_verified_email is None:
            return self.environment == "production"
        return self.require_verified_email

    @cached_property
    def master_key_ring(self) -> tuple[tuple[str, bytes | None], ...]:
        """Master keys as (id, 32 bytes), the first one active; None for one that AWS KMS holds.

        Written as `id:base64`, or `kms:` and the key's ARN or alias, separated by commas. At least one is `id:base64`.
        """
        if self.master_keys is None:
            raise SettingsError("NEXUS_MASTER_KEYS: missing; `nexus up` makes one for the embedded platform")
        return parse_key_ring(self.master_keys.get_secret_value())

    @cached_property
    def origin(self) -> bytes:
        """What is derived and must outlive every master key comes from it: the platform's accounts, signatures of archives.

        `NEXUS_ORIGIN_KEY`, or the oldest master key that stands in the environment.
        """
        if self.origin_key is not None:
            return base64.b64decode(self.origin_key.get_secret_value())
        return oldest(self.master_key_ring)

    @cached_property
    def owner_dsn(self) -> str:
        """DSN of the account that owns the schemas and may create roles and databases: migrations, provisioning."""
        if self.database_url is None:
            raise SettingsError("DATABASE_URL: missing; start the embedded platform with `nexus up`, or set it")
        return self.database_url.get_secret_value()

    @cached_property
    def web_dsn(self) -> str:
        """DSN of the API's role: rows only of the tenant, user or key that the transaction names."""
        return self._application_dsn(self.database_web_url, WEB_ROLE)

    @cached_property
    def engine_dsn(self) -> str:
        """DSN of the dispatcher's and workers' role: it sees the jobs of every tenant."""
        return self._application_dsn(self.database_engine_url, ENGINE_ROLE)

    def through_pooler(self, dsn: str) -> str:
        """The same account and database at the pooler's address, where there is one.

        Everything goes there but the owner's account, and the dispatcher's lock, which needs a session of its own.
        """
        if self.database_pooler_url is None:
            return dsn
        return with_address(dsn, self.database_pooler_url.get_secret_value())

    @property
    def broker(self) -> str:
        """Celery's broker; Redis unless `BROKER_URL` says otherwise."""
        url = self.broker_url or self.redis_url
        if url is None:
            raise SettingsError("BROKER_URL: missing; start the embedded platform with `nexus up`, or set it")
        return url.get_secret_value()

    def login_role(self, group: str) -> tuple[str, str]:
        """Name and password of this platform's login role in a group.

        Both are derived from the origin and the platform's database, so that no process must be told them and two platforms
        on one server do not share an account.
        """
        origin = self.origin
        database = urlsplit(self.owner_dsn).path

        def derived(what: str) -> str:
            return hmac.new(origin, f"{group} {database} {what}".encode(), hashlib.sha256).hexdigest()

        return f"{group}_{derived('name')[:12]}", derived("password")

    def _application_dsn(self, explicit: SecretStr | None, group: str) -> str:
        if explicit is not None:
            return explicit.get_secret_value()
        name, password = self.login_role(group)
        return with_credentials(self.owner_dsn, name, password)


def oldest_local_key(text: str) -> str:
    """The origin of a ring written like `NEXUS_MASTER_KEYS`, as `NEXUS_ORIGIN_KEY` is written. Raises `SettingsError`."""
    return base64.b64encode(oldest(parse_key_ring(text))).decode()


def load(**overrides: object) -> Settings:
    """Read and check the settings; raise `SettingsError` with one line per problem.

    Production refuses to start on conveniences: it needs explicit addresses and keys.
    """
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # aliases are checked by pydantic, not by mypy
    except ValidationError as error:
        raise SettingsError(*(_line(item["loc"], item["msg"]) for item in error.errors())) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f".env: cannot be read: {type(error).__name__}") from None
    if settings.master_keys is not None:
        _ = settings.master_key_ring
    if settings.environment == "production":
        required = {"DATABASE_URL": settings.database_url or (settings.database_web_url and settings.database_engine_url),
                    "BROKER_URL": settings.broker_url or settings.redis_url, "NEXUS_MASTER_KEYS": settings.master_keys,
                    "FLOWER_PASSWORD": settings.flower_password}  # fmt: skip
        missing = [f"{name}: missing; production needs it" for name, value in required.items() if value is None]
        if missing:
            raise SettingsError(*missing)
    return settings


def _line(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]) if location else "settings"
    field = Settings.model_fields.get(name)
    variable = field.alias if field is not None and field.alias else name
    return f"{variable}: {message.removeprefix('Value error, ')}"


@lru_cache(maxsize=1)
def current() -> Settings:
    """This process's settings, loaded at the first call."""
    return load()

"""What can be known before anything starts: each check raises `SettingsError` with one line per problem."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import unquote, urlsplit

from config.settings import Settings, SettingsError

_CONNECT_SECONDS = 5
_DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}


def check_environment_file(path: Path = Path(".env")) -> None:
    """Refuse an environment file that would be read in part: settings that silently do not apply are worse than none."""
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8") as file:
            broken = [binding.original.line for binding in parse_stream(file) if binding.error]
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    if broken:
        raise SettingsError(*(f"{path}: line {number} is not NAME=value" for number in broken))


def check_ports(settings: Settings) -> None:
    """Refuse ports that another program has, since the platform would come up without its front door."""
    if settings.port == settings.flower_port:
        raise SettingsError(f"FLOWER_PORT: {settings.flower_port} is NEXUS_PORT too; choose another")
    problems = [
        f"{name}: {problem}; free it or choose another"
        for name, port in (("NEXUS_PORT", settings.port), ("FLOWER_PORT", settings.flower_port))
        if (problem := _port_problem(settings.host, port)) is not None
    ]
    if problems:
        raise SettingsError(*problems)


def check_servers(settings: Settings) -> None:
    """Refuse addresses of servers that do not answer. Messages name the variable and the host, never the password."""
    problems = []
    if settings.database_url is not None:
        problem = database_problem(settings.database_url.get_secret_value())
        if problem is not None:
            problems.append(f"DATABASE_URL: {problem}")
    for name, url in (("REDIS_URL", settings.redis_url), ("BROKER_URL", settings.broker_url)):
        if url is not None and (problem := address_problem(url.get_secret_value())) is not None:
            problems.append(f"{name}: {problem}")
    if problems:
        raise SettingsError(*problems)


def _port_problem(host: str, port: int) -> str | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
            probe.bind(address)
    except OSError as error:
        reason = (
            "is already in use"
            if error.errno is not None and "in use" in str(error)
            else f"cannot be used ({error.strerror})"
        )
        return f"port {port} on {host} {reason}"
    return None


def database_problem(url: str) -> str | None:
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=_CONNECT_SECONDS).close()
    except psycopg.Error as error:
        lines = str(error).strip().splitlines()
        return f"the database cannot be reached: {lines[-1].strip() if lines else type(error).__name__}"
    return None


def _rabbitmq_problem(url: str) -> str | None:
    """Log in, since RabbitMQ refuses wrong passwords and unknown virtual hosts only then, and workers would try for ever."""
    import amqp

    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or _DEFAULT_PORTS[parts.scheme]
    connection = amqp.Connection(
        host=f"{host}:{port}", userid=unquote(parts.username or "guest"), password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/", ssl=parts.scheme == "amqps", login_method="PLAIN",
        connect_timeout=_CONNECT_SECONDS, read_timeout=_CONNECT_SECONDS, write_timeout=_CONNECT_SECONDS,
    )  # fmt: skip
    try:
        connection.connect()
        connection.close()
    except amqp.AccessRefused:
        return f"{host}:{port} refuses the account {parts.username or 'guest'}"
    except amqp.NotAllowed as error:
        return f"{host}:{port}: {error.reply_text}"
    except (amqp.AMQPError, OSError) as error:
        return f"{host}:{port} cannot be reached: {getattr(error, 'strerror', None) or type(error).__name__}"
    finally:
        connection.collect()
    return None


def address_problem(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme in {"amqp", "amqps"}:
        return _rabbitmq_problem(url)
    if parts.scheme == "unix":
        return None if Path(parts.path).is_socket() else f"{parts.path} is no socket"
    host, port = parts.hostname or "localhost", parts.port or _DEFAULT_PORTS[parts.scheme]
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        return f"{host}:{port} cannot be reached: {error.strerror or error}"
    return None

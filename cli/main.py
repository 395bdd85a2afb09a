"""The `nexus` command. Each subcommand is imported when it is used, so that `nexus --help` answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from cli.errors import CommandFailed

COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("cli.up:up", "Run the whole platform here until Ctrl-C."),
    "prepare": ("cli.prepare:prepare_command", "Migrate the databases before a new version starts."),
    "demo": ("cli.demo.command:demo", "Run real jobs through every domain and show what came out."),
    "login": ("cli.login:login", "Log in and keep an API key for a tenant."),
    "jobs": ("cli.jobs:jobs", "Submit, list, show, watch, cancel and replay jobs."),
    "schedules": ("cli.schedules:schedules", "Create, list, preview, pause and delete schedules."),
    "tenants": ("cli.tenants:tenants", "Create, list and show tenants; pause them and set their limits."),
    "keys": ("cli.keys:keys", "Show master keys, rewrap, rotate a tenant's data key."),
    "migrate": ("cli.migrate:migrate", "Migrate the tenants' databases in waves; find drift."),
    "backup": ("cli.backup:backup", "Make, list, verify and prune backups of the whole platform."),
    "restore": ("cli.restore:restore", "Bring a whole platform back from a backup."),
    "queues": ("cli.queues:queues", "Show, pause, resume and drain queues."),
    "kinds": ("cli.kinds:kinds", "Show, pause, resume and drain kinds of job."),
    "audit": ("cli.audit:audit", "List who changed what; verify that the record holds."),
    "signing-keys": ("cli.signing_keys:signing_keys", "List, rotate and retire the keys that sign access tokens."),
    "top": ("cli.top:top", "Watch queues, kinds and workers live."),
    "doctor": ("cli.doctor.command:doctor", "Find out what is wrong with a set-up, and what to do."),
    "workers": ("cli.workers:workers", "List the workers and what they run."),
}
"""Name, where it is, what `nexus --help` says."""

EPILOG = """\b
Begin here:
  nexus demo                                     see everything once, then stop
  nexus up                                       run the platform at http://127.0.0.1:8000
  nexus login --email admin@example.com          with the password that `nexus up` printed
  nexus tenants create Acme
  nexus login --email admin@example.com --tenant Acme
  nexus jobs submit system.ping --payload '{"message": "hello"}' --wait

\b
In scripts:
  nexus jobs list --state failed --json | jq -r '.items[].id'
  NEXUS_URL=https://nexus.example.com NEXUS_API_KEY=nxk_… nexus jobs list

\b
Exit codes:
  0  done        1  a job failed, was cancelled or took too long
  2  wrong usage or settings, no server, or the API refused (the line on standard error says why)
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:  # click suggests only commands that are loaded
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--url",
    envvar="NEXUS_URL",
    metavar="URL",
    help="A remote server (NEXUS_URL); else the platform running on NEXUS_HOME.",
)
@click.option(
    "--api-key",
    envvar="NEXUS_API_KEY",
    metavar="KEY",
    help="An API key (NEXUS_API_KEY); else the one that `nexus login` keeps.",
)
def nexus(url: str | None, api_key: str | None) -> None:
    """Nexus: a multi-tenant business platform, a thin API in front of durable jobs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Every failure is one line on standard error."""
    try:
        outcome: Any = nexus.main(
            args=None if arguments is None else list(arguments), prog_name="nexus", standalone_mode=False
        )
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _complain(error.exit_code, _in_a_line(error))
    except click.Abort:
        return 130
    except CommandFailed as error:
        return _complain(error.exit_code, str(error))
    except BrokenPipeError:  # the reader, as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _complain(2, f"{error.filename or 'the system'}: {error.strerror or error}")
    except Exception as error:
        if type(error).__name__ not in _KNOWN:
            raise
        return _complain(2, *str(error).splitlines())
    return outcome if isinstance(outcome, int) else 0


_KNOWN = frozenset({"SettingsError", "AlreadyRunning", "EmbeddedServiceError", "PlatformFailed"})
"""Errors with a message for the operator, by name: their modules are loaded only by the commands that raise them."""


def _in_a_line(error: click.ClickException) -> str:
    """What is wrong, and where to read on: click itself would print the usage over it, on four lines."""
    said = " ".join(error.format_message().split())
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return said
    return f"{said} (see {error.ctx.command_path} --help)"


def _complain(code: int, *problems: str) -> int:
    for problem in problems:
        click.echo(f"nexus: {problem}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())

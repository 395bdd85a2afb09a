"""`nexus doctor`: every look in order, each as it is done; what is wrong ends with exit code 2."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from cli.credentials import local_url
from cli.doctor import machine, platform, servers
from cli.doctor.findings import Finding, bad, good, odd
from cli.embedded.platform import running_environment
from cli.embedded.preflight import check_environment_file
from cli.output import clean, print_json
from config.settings import Settings, SettingsError, load

_MARKS = {"good": ("ok", "green"), "odd": ("look", "yellow"), "bad": ("BAD", "red")}


@click.command(
    "doctor",
    epilog="""\b
Examples:
  nexus doctor                    this machine: settings, servers, and the platform if it runs
  nexus doctor --url https://…    a remote platform, as far as it tells strangers
  nexus doctor --json | jq '.[] | select(.level == "bad")'
""",
)
@click.option("--url", metavar="URL", help="A remote server (NEXUS_URL); else this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON for scripts.")
def doctor(url: str | None, as_json: bool) -> int:
    """Find out what is wrong with a set-up, and what to do about it. Changes nothing.

    Exit code 2 if something keeps the platform from working.
    """
    remote = url or click.get_current_context().find_root().params.get("url")
    found = []
    for each in platform.look(remote) if remote else _here():
        found.append(each)
        if not as_json:
            _show(each)
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        click.echo(_sum(found))
    return 2 if any(each.level == "bad" for each in found) else 0


def _here() -> Iterator[Finding]:
    settings, problems = _settings()
    yield from problems or [good("settings", "all of them can be read")]
    home = Path(os.environ.get("NEXUS_HOME", "var")) if settings is None else settings.home
    yield from machine.look(home)
    if settings is not None:
        yield from servers.look(settings)
    running = local_url(home)
    if running is None:
        yield odd(
            "platform", f"no `nexus up` runs on {home}", "start it; or name what runs elsewhere: nexus doctor --url URL"
        )
    else:
        yield from platform.look(running)


def _settings() -> tuple[Settings | None, list[Finding]]:
    """Those of this machine, with the addresses of the embedded servers if they run."""
    try:
        check_environment_file()
        settings = load()
        running = running_environment(settings.home)
        return (settings if running is None else load(**running)), []
    except SettingsError as error:
        return None, [_setting(problem) for problem in error.problems]


def _setting(problem: str) -> Finding:
    name, _, rest = problem.partition(": ")
    return bad(
        name if rest else "settings",
        rest or problem,
        "mend it in the environment or in .env; .env.example explains each",
    )


def _show(finding: Finding) -> None:
    mark, colour = _MARKS[finding.level]
    click.echo(f"{click.style(f'{mark:<4}', fg=colour)}  {finding.subject:<22} {clean(finding.detail)}")
    if finding.advice:
        click.echo(f"{'':<28} → {clean(finding.advice)}")


def _sum(found: Iterable[Finding]) -> str:
    levels = [each.level for each in found]
    if set(levels) == {"good"}:
        return f"{len(levels)} looks: all is well"
    return f"{len(levels)} looks: {levels.count('bad')} bad, {levels.count('odd')} to look at"

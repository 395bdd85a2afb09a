"""`docs/benchmarks.md` as text, from the figures of one run. Pure: the same figures give the same page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from bench.summary import milliseconds, rows

LABELS = {
    "nexus_deep": "Nexus, up to 64 ids per message",
    "nexus_single": "Nexus, 1 id per message",
    "nexus": "Nexus",
    "stock_celery": "stock Celery, Redis results",
    "stock_celery_events": "stock Celery with task events (`-E`)",
    "huey": "Huey, Redis results",
    "dramatiq": "Dramatiq, Redis results",
    "procrastinate": "Procrastinate, PostgreSQL",
}


def page(figures: Mapping[str, Any]) -> str:
    """The page. A part that was not measured is left out, and the summary says so; a `note` in the figures is shown."""
    parts = [_head(figures), *([figures["note"]] if "note" in figures else []), _summary(figures)]
    parts += [section(figures[name]) for name, section in _SECTIONS if name in figures]
    return "\n\n".join(parts) + "\n"


def _head(figures: Mapping[str, Any]) -> str:
    machine = figures["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    load = ", ".join(str(each) for each in figures["load_average_before"])
    return f"""# Benchmarks

`make bench` measures everything below on your machine, each thing beside a peer or a reference in the same run, in turns; ratios are
medians over the rounds. `python -m bench publish` writes this page from `var/bench.json`; nobody edits it.

Taken {figures["taken_at"]} on {machine["cores"]} cores ({machine["processor"]}), {machine["memory_gib"]} GiB, {machine["system"]}, Python
{machine["python"]}; load average before the run {load}. {versions}.

PostgreSQL and Valkey are the embedded ones, on the same machine, with `fsync` on: what ours answers is durable. What the Redis-backed peers
answer is in memory. Two worker processes everywhere."""


def _summary(figures: Mapping[str, Any]) -> str:
    table = _table(
        ("what", "wanted", "measured", "met"),
        ((row.what, row.wanted, row.measured, row.verdict) for row in rows(figures)),
    )
    return f"## Aims\n\n{table}\n\nWhere the time goes in those that are not met: [profiles](profiles.md)."


def _throughput(found: Any) -> str:
    names = sorted(found["rates"], key=lambda name: -found["ratios"][name])
    table = _table(
        ("engine", *(f"round {number + 1}" for number in range(found["rounds"])), "to stock Celery"),
        ((LABELS[name], *(f"{rate:,.0f}" for rate in found["rates"][name]), f"{found['ratios'][name]:.2f}×")
         for name in names),
    )  # fmt: skip
    factor = found["settings"]["deep_factor"]
    return f"""## Throughput

No-op jobs per second from the first to the last end: {found["jobs"]:,} jobs each round, all queued before the workers start ({factor} times as many
for full messages, which are done too soon to measure otherwise).

![No-op jobs per second](benchmarks/throughput.svg)

{table}"""


def _enqueue(found: Any) -> str:
    names = ("nexus", "stock_celery")
    table = _table(
        ("front", "requests per second", "answer p50", "answer p95"),
        ((LABELS[name] if name == "nexus" else "Flask and `send_task`", f"{median(found['rates'][name]):,.0f}",
          milliseconds(found["seconds"][name]["p50"]), milliseconds(found["seconds"][name]["p95"])) for name in names),
    )  # fmt: skip
    return f"""## Submitting over HTTP

One gunicorn process, {found["connections"]} connections, {found["requests"]:,} requests in each of {found["rounds"]} rounds. Ours looks at a key, a permission, a
limit and a payload, and answers after the commit; the peer is a view of one line that writes to Valkey. Ours to the peer: {found["ratio"]:.2f}×.

{table}"""


def _latency(found: Any) -> str:
    table = _table(
        ("engine", "to running p50", "p95", "to finished p50", "p95"),
        ((LABELS[name], *(milliseconds(found[name][step][point])
                          for step in ("to_running", "to_finished") for point in ("p50", "p95")))
         for name in ("nexus", "stock_celery")),
    )  # fmt: skip
    return f"""## Idle latency

{found["jobs"]} jobs, one at a time, from the answer of the API to running and to finished. Below zero: it was so before the client had the answer.

![Idle latency](benchmarks/latency.svg)

{table}"""


def _fairness(found: Any) -> str:
    peer = found["stock_celery"]
    table = _table(
        ("", "wait alone p50", "p95", "beside the backlog p50", "p95"),
        [("Nexus", *(milliseconds(found[when][point]) for when in ("alone", "beside") for point in ("p50", "p95"))),
         ("stock Celery, one queue", "", milliseconds(peer["alone"]), "", milliseconds(peer["beside"]))],
    )  # fmt: skip
    return f"""## Fairness

From submission to running, for a tenant that submits a job now and then, alone and beside one whose {found["backlog"]:,} no-op jobs are being drained
({found["left"]:,} were left after the last sample). Stock Celery's one queue is shown with {peer["backlog"]:,} before it, a single task each time.

{table}"""


def _waits(found: Any) -> str:
    table = _table(
        ("seconds after the first dispatch", ""),
        [("all dispatched", f"{found['all_dispatched_seconds']:.2f}"), ("all running", f"{found['all_started_seconds']:.2f}"),
         ("all done", f"{found['seconds']:.2f}")],
    )  # fmt: skip
    each = found["processor_seconds"] / found["jobs"] * 1e3
    return f"""## Jobs that wait

{found["jobs"]:,} completions against a local server with OpenAI's wire format that answers after {found["wait_seconds"]:.0f} s, on one worker with {found["jobs"]:,} threads, in
{found["ratio"]:.2f}× of the ideal {found["wait_seconds"]:.0f} s. The worker spends {each:.1f} ms of processor time on each, and they share one interpreter. It takes {found["idle_mib"]:.0f} MiB idle
and {found["peak_mib"]:.0f} MiB at most.

{table}"""


def _growth(found: Any) -> str:
    empty, full = found["seconds_per_job"]["empty"], found["seconds_per_job"]["full"]
    table = _table(
        ("step", "empty, µs", "grown, µs", "median ratio"),
        ((step, f"{empty[step] * 1e6:,.0f}", f"{full[step] * 1e6:,.0f}", f"{ratio:.2f}×")
         for step, ratio in found["ratio"].items()),
    )  # fmt: skip
    return f"""## Growth

Cost per job on a platform with {found["finished"]:,} finished jobs and {found["tenants"]:,} tenants, to an empty one, in turns.

![Cost per job](benchmarks/growth.svg)

{table}"""


def _waiters(found: Any) -> str:
    table = _table(
        ("clients", "web with none", "web with all", "late p50", "late p95"),
        ((f"{found['clients']:,} {label}", f"{each['empty_mib']:.0f} MiB", f"{each['pss_mib']:.0f} MiB",
          milliseconds(each["late"]["p50"]), milliseconds(each["late"]["p95"]))
         for label, each in (("event streams", found["streams"]), ("long polls", found["long_polls"]))),
    )  # fmt: skip
    return f"""## Waiting clients

Each holds a connection to the one web process and waits for a job of its own; memory is proportional (PSS). Late is what passes from the
job's end until the client holds the answer.

{table}"""


def _recovery(found: Any) -> str:
    seconds = ", ".join(f"{each:.1f} s" for each in found["seconds"])
    return f"""## Recovery

From the SIGKILL of a worker until all of its jobs run again on another: {seconds} (a lease lasts {found["lease_seconds"]:.0f} s)."""


def _round_trips(found: Any) -> str:
    return "## Database round trips\n\n" + _table(
        ("step", "trips"), ((step, str(trips)) for step, trips in found.items())
    )


def _provisioning(found: Any) -> str:
    steps: list[tuple[str, str]] = [(step, f"{seconds:.3f}") for step, seconds in found["steps"].items()]
    steps += [("all steps, directly", f"{found['direct']:.3f}"),
              ("through the job, from submission", f"{found['through_the_job']:.3f}")]  # fmt: skip
    return "## Provisioning a dedicated tenant\n\n" + _table(("step", "seconds"), steps)


def _api_start(found: Any) -> str:
    return f"""## Start of the API

Importing takes {found["import"]:.2f} s, the application {found["create"]:.2f} s, the process from start to exit {found["process"]:.2f} s; {found["modules"]:,} modules, {found["peak_mib"]:.0f} MiB."""


def _memory(found: Any) -> str:
    programs = [*found["programs"].items(), ("total", found["total"])]
    return "## Memory of the whole platform\n\n" + _table(
        ("program", "processes", "RSS, MiB", "PSS, MiB"),
        ((name, f"{row['processes']:.0f}", f"{row['rss']:.0f}", f"{row['pss']:.0f}") for name, row in programs),
    )


def _table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    head = [_line(columns), "|---" + "|---:" * (len(columns) - 1) + "|"]
    return "\n".join([*head, *(_line(line) for line in lines)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


_SECTIONS: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("throughput", _throughput),
    ("enqueue", _enqueue),
    ("latency", _latency),
    ("fairness", _fairness),
    ("waits", _waits),
    ("growth", _growth),
    ("waiters", _waiters),
    ("recovery", _recovery),
    ("round_trips", _round_trips),
    ("provisioning", _provisioning),
    ("api_start", _api_start),
    ("memory", _memory),
)

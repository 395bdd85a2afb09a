"""The page on scaling shows what the published run of the benchmarks simulated."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[3]
LOADS = {
    "half": "0.5×",
    "nine tenths": "0.9×",
    "half, beside ten endless backlogs": "0.5×, ten backlogs",
    "half again too much, for 20 s": "1.5×",
}


def test_the_table_of_simulated_loads_is_that_of_the_published_run() -> None:
    published = json.loads((ROOT / "docs" / "benchmarks" / "figures.json").read_text())["scaling"]
    simulated = {(each["tenants"], each["name"]): each for each in published["simulated"]}
    rows = [line.strip("| ").split(" | ") for line in (ROOT / "docs" / "scaling.md").read_text().splitlines()]
    shown = [row for row in rows if len(row) == 6 and row[1] in LOADS]
    assert len(shown) == 11
    for tenants, load, p50, p95, busy, waiting in shown:
        found = simulated[int(tenants.replace(",", "")), LOADS[load]]
        assert [_seconds(p50), _seconds(p95)] == [_rounded(found["wait_p50"]), _rounded(found["wait_p95"])], load
        assert int(busy.removesuffix(" %")) == round(found["slots_busy"] * 100)
        assert int(waiting.replace(",", "")) == found["most_waiting"]


def _seconds(shown: str) -> float:
    number, unit = shown.split()
    return round(float(number) / (1000 if unit == "ms" else 1), 4)


def _rounded(seconds: float) -> float:
    """To whole milliseconds of two digits, as the page has them."""
    return float(f"{round(seconds, 3):.2g}")

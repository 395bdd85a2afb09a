"""Counting in a process, before anything is written."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from config.telemetry import counters
from config.telemetry.measures import MEASURES, PROVIDER_CALLS, PROVIDER_SECONDS, SECONDS, TICKS, UNSENT


@pytest.fixture(autouse=True)
def _nothing_counted() -> Iterator[None]:
    kept = counters.take()
    yield
    counters.take()
    counters.put_back(kept)


def test_counts_add_up_by_labels_and_are_taken_once() -> None:
    counters.count(TICKS, "a")
    counters.count(TICKS, "a", by=2)
    counters.count(TICKS, "b")
    taken = counters.take()
    assert {key: reading.total for key, reading in taken.items()} == {
        (TICKS.name, ("a",)): 3, (TICKS.name, ("b",)): 1,
    }  # fmt: skip
    assert counters.take() == {}


def test_an_observation_stands_in_the_bucket_whose_bound_it_does_not_pass() -> None:
    for seconds in (0.01, 0.011, 61.0):
        counters.observe(PROVIDER_SECONDS, seconds, "p", "o")
    reading = counters.take()[PROVIDER_SECONDS.name, ("p", "o")]
    assert reading.buckets == [1, 1, *[0] * (len(SECONDS) - 2), 1]
    assert (reading.count, round(reading.total, 3)) == (3, 61.021)


def test_what_could_not_be_written_is_added_to_what_came_meanwhile() -> None:
    counters.count(UNSENT, by=5)
    counters.observe(PROVIDER_SECONDS, 0.2, "p", "o")
    taken = counters.take()
    counters.count(UNSENT)
    counters.observe(PROVIDER_SECONDS, 0.2, "p", "o")
    counters.put_back(taken)
    again = counters.take()
    assert again[UNSENT.name, ()].total == 6
    assert sum(again[PROVIDER_SECONDS.name, ("p", "o")].buckets or ()) == 2


def test_nothing_is_lost_between_threads() -> None:
    def work() -> None:
        for _ in range(1000):
            counters.count(PROVIDER_CALLS, "p", "o", "ok")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    seen = 0.0
    while any(each.is_alive() for each in threads):
        seen += sum(reading.total for reading in counters.take().values())
    assert seen + sum(reading.total for reading in counters.take().values()) == 8000


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_count_what_its_parent_did_and_takes_no_lock_with_it() -> None:
    counters.count(UNSENT)
    with counters._lock:
        child = os.fork()
        if child == 0:
            counters.count(UNSENT, by=7)
            os._exit(0 if [reading.total for reading in counters.take().values()] == [7] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert counters.take()[UNSENT.name, ()].total == 1


def test_every_measure_has_a_name_of_ours_and_says_what_it_is() -> None:
    for name, measure in MEASURES.items():
        assert name == measure.name
        assert name.startswith("nexus_")
        assert not name.endswith("_total")
        assert measure.text
        assert "tenant" not in measure.labels

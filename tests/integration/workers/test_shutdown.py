"""Leaving in time."""

from __future__ import annotations

import subprocess

import psutil

from workers.shutdown import kill


def test_a_child_that_has_just_ended_keeps_no_other_from_being_killed() -> None:
    gone, running = subprocess.Popen(["true"]), subprocess.Popen(["sleep", "60"])
    children = [psutil.Process(gone.pid), psutil.Process(running.pid)]
    gone.wait(10)
    kill(children)
    assert running.wait(10) == -9

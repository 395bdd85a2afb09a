"""Kill, flush and restart a whole platform under load, then count: `python -m bench.chaos`."""

"""Benchmarks, each beside a peer in the same run, and the long form of the fault tests."""

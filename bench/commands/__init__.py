"""The benchmarks as commands, a module for each part of the platform."""

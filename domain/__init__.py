"""Decisions without I/O: frozen dataclasses and plain functions, tested in milliseconds."""

"""The tenant history."""

"""Writes Python from the API's description."""

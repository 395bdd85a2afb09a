"""The thin API: parse, authenticate, authorize, submit or read, render."""

"""The platform history."""

"""Trying what must not work: one tenant's accounts, keys and scopes on what belongs to others, and the catalogs read for gaps."""

"""Rules of billing, without I/O."""

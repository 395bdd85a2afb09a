"""Rules of completions, without I/O."""

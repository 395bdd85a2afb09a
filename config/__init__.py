"""How the process is set up: settings and logging. Imports nothing of ours but the error vocabulary."""

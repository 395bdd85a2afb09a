"""`nexus demo`: real jobs through every domain of a real platform, over the public HTTP API only."""

"""PostgreSQL and Valkey as child processes, so that the whole platform runs from pip alone.

Everything of one platform lies under its home (`NEXUS_HOME`); nothing here knows the platform's own programs.
`platform` puts the parts together, `guardian` ends them when their launcher dies.
"""

"""Two Alembic histories, `platform/` and `tenant/`, run by `tenancy.migrations`. Expand and contract only."""

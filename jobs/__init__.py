"""The durable job engine. PostgreSQL decides, Celery carries: see `docs/decisions/0001-the-row-is-the-truth.md`."""

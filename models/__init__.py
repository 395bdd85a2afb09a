"""SQLAlchemy tables, one aggregate per file: `platform/` for the platform database, `tenant/` for a tenant's."""

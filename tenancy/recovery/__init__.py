"""The platform as a whole, backed up and brought back: its database and its tenants', sealed, in a bucket of the operator's."""

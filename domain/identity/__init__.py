"""Rules of identity: permissions, system roles, principals, credentials' forms."""

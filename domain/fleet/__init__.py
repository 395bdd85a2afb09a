"""Rules for changing the schemas of many tenants' databases."""

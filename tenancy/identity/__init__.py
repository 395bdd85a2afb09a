"""What the platform database says about people, their logins, keys and places in tenants: one module per noun."""

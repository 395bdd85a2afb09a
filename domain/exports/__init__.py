"""Writing what tenants take away with them."""

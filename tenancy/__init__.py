"""The only room that opens a database session or a bucket. Whoever wants a tenant's data asks here and names the tenant."""

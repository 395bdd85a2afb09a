"""What keeps tenants apart, judged: the rules that a database's catalog must satisfy, and the report on what was tried."""

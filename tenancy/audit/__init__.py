"""The audit in the platform database: noting, sealing, reading, verifying, letting go.

Whoever changes something notes it in the transaction of the change:

    record(session, "role.created", f"role:{role_id}", after={"name": name})

or, where one round trip does it all, with `audited` or `noted`. Who acts is known from the request or the job (`origin`).
"""

from tenancy.audit.origin import acting, current_origin, set_origin
from tenancy.audit.recording import audited, noted, record

__all__ = ["acting", "audited", "current_origin", "noted", "record", "set_origin"]

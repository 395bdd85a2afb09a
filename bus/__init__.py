"""How parts of the platform reach each other: events, services, and the webhooks that carry events to tenants."""

"""Rules of webhooks to tenants: signatures, when to try again, when an endpoint is given up."""

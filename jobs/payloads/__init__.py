"""What each kind accepts, as marshmallow schemas: one module per domain. Unknown fields are refused."""

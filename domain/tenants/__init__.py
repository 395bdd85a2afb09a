"""The life of a tenant: which state follows which, what is kept how long, what a tenant may set for itself."""

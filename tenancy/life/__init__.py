"""What happens to a tenant between its making and its end: suspension, archives, restoration, another tier, erasure."""

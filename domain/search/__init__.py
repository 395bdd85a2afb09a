"""Rules of federated search: fusing what the sources found, and the answer that a client reads."""

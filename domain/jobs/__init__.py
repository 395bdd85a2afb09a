"""Rules of the job engine: states, retry policies, batch sizes."""

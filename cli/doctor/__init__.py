"""`nexus doctor`: looks at a set-up from the outside in, and says for each thing that is wrong what to do."""

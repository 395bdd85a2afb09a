"""The `nexus` command: everything an operator or developer does by hand."""

"""What is generated. Made from the API's description by `make reference`; edits here are lost."""

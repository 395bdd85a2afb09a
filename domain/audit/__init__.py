"""What is noted of who changed what, and how a chain of such notes proves that none was altered."""

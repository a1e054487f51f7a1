"""What is said over a connection: requests and replies, signed statements, log entries, names, harmless text."""

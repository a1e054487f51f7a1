"""The bisik client: library, command line, terminal."""

"""The bisik daemon."""

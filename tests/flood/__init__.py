"""A flood against a running daemon, in networks that nobody else sees; `make soak-flood` runs it."""

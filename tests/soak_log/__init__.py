"""Campaigns that try to make the log lose, double or invent something; `make soak-log` runs them."""

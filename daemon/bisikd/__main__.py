"""`python -m bisikd` is `bisikd`."""

from bisikd.cli import main

main()

"""`python -m bisik` is `bisik`."""

from bisik.cli import main

main()

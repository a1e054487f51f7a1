"""Benchmarks: each prints a table of this project beside aioquic, over the same link in the same run.

`python -m benchmarks.NAME` runs one, `python -m benchmarks` runs all. docs/benchmarks.md says what each measures.
"""

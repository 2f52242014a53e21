"""The same work by each of the things that are compared; see `benchmarks/ops.py`."""

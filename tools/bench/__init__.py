"""Benchmarks: figures that the documents promise, measured by programs that anyone can run."""

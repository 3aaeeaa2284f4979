"""Measures: `make bench`, or `python -m tests.bench [PART OF A NAME]`. See docs/benchmarks.md."""

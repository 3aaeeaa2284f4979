"""
The kill matrix: every broker beside a real hub under load, while each of them is killed, cut off or locked out.

`python -m tests.matrix --help`; docs/kill-matrix.md says what is done and checked, and has the figures.
"""

"""Flows: what they say, checked and compiled, and what one run of them comes to. Pure: effects are values."""

"""The HTTP door: the tracking edge, queries, admin."""

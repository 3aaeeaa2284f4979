"""Bridges: other queues, pulled into the hub."""

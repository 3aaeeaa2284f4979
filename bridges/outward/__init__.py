"""Destinations: what the hub has stored, to other systems."""

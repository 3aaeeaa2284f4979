"""Copies of what is stored: events into profiles, properties of events into their index fields."""

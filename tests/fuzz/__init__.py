"""Requests that nobody would send, to every door for events: nothing breaks, and what was acknowledged is there."""

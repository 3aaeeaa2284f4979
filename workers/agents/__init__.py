"""Agents decide what is due, on faust-streaming: thin shells around pure functions. README: docs/heartbeats.md."""

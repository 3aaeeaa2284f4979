"""The chaos kit: load, faults and a checker that shares no code with the hub. See docs/chaos.md."""

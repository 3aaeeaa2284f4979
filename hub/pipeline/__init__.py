"""What a batch of records does to events and profiles; pure."""

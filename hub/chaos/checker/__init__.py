"""What was sent against what the hub has. Imports nothing of the hub's: a fault of the hub's cannot hide here."""

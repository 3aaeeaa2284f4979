"""The collector: from the log into the store."""

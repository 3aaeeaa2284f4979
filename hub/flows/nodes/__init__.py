"""The nodes that come with the hub, one module a group."""

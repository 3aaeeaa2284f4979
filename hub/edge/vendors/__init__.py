"""What other vendors' clients send, as our payloads: one pure module a vendor."""

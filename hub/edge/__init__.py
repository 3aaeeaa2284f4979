"""From the bytes that a client or broker sent to a record of the log; pure."""

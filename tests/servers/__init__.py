"""Real servers for tests, found or started by the tests: one file a kind of server; `running.py` runs them."""

"""`hub backup` and `hub restore`: the data folder of one moment in one file, while the hub runs or not.

Kafka and Valkey stand still for some milliseconds (`moment.py`); meanwhile a read transaction of the store begins and
every file of theirs is opened, with its length (`folder.py`). What is copied afterwards is what a `kill -9` of both at
that moment would have left beside a store that is not older than Kafka's log: so nothing that the store knows of is
missing on the log, and nothing that the log points at is missing in the store.
"""

"""Kafka: topics, producer, the follower of definitions."""

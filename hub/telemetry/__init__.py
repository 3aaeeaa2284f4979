"""OpenTelemetry traces of events: from the door by way of Kafka to store, flows and destinations. Off by default."""

"""`hub up`: Kafka, Valkey and our processes on one machine."""

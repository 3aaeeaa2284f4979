"""What crosses a process border: Avro records, topics, their codec. Imports nothing of ours."""

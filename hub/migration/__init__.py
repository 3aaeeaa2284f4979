"""Taking over the predecessor's Elasticsearch: what there is, what becomes of it here, what is left, and why."""

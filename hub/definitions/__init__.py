"""Sources, mappings and bridges: what people define, kept in memory by every process."""

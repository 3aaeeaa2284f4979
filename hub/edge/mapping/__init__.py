"""Message mappings: documents with JMESPath expressions, compiled to functions that make /track payloads."""

from hub.edge.mapping.compiled import CompiledMapping, compile_mapping
from hub.edge.mapping.problems import MappingError
from hub.edge.mapping.spec import ID_HEADER

__all__ = ["ID_HEADER", "CompiledMapping", "MappingError", "compile_mapping"]

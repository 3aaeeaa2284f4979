"""The language of conditions and searches: one grammar, one tree, and what compiles it. Pure."""

from hub.conditions.errors import QueryError
from hub.conditions.grammar import parse, parse_field
from hub.conditions.walk import moves, settled

__all__ = ["QueryError", "moves", "parse", "parse_field", "settled"]

"""The language of searches: text to a typed condition, a condition to SQL or to a Python function."""

from hub.store.query.errors import QueryError
from hub.store.query.fields import for_kind
from hub.store.query.grammar import parse
from hub.store.query.people import of_people

__all__ = ["QueryError", "for_kind", "of_people", "parse"]

"""Searches: a condition (`hub.conditions`) on one kind of document, as the stores compile it."""

from hub.conditions import QueryError, parse
from hub.store.query.fields import condition_on, field_for, for_kind, prepare
from hub.store.query.people import of_people

__all__ = ["QueryError", "condition_on", "field_for", "for_kind", "of_people", "parse", "prepare"]

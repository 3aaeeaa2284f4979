"""Queries on the store with values of the run in them, each written so that it can be nothing but a value."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from hub.conditions import parse
from hub.conditions.meaning import Kind, meant
from hub.flows.notation import Getter, ValueFault, marked

_MARK: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def compiled(text: str) -> Getter:
    """
    A function that makes the query's text: `profile.id = {{ profile@id }}`, without quotes around the mark.

    Raises: NotationError.
    """
    return marked(text, written)


def check(text: str, kind: Kind) -> None:
    """Whether it will be a query, whatever the values are. Raises QueryError."""
    meant(parse(_MARK.sub('"x"', text)), kind)


def written(value: Any) -> str:
    """A value as a query has it. Raises ValueFault: it is a list or an object, or no text that a query can have."""
    if value is None or isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    if not isinstance(value, str):
        raise ValueFault(f"a text, a number or a truth value can stand in a query, not {value!r:.80}")
    if "\0" in value:
        raise ValueFault("the character NUL cannot stand in a query")
    try:
        quoted = msgspec.json.encode(value).decode()
    except UnicodeEncodeError as exc:
        raise ValueFault("half of a surrogate pair cannot stand in a query") from exc
    return quoted.replace("*", "\\*")  # a star would stand for anything

"""A document as the tokens that searches ask for (`hub.store.elastic.tokens`): pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from hub.conditions.ast import Function
from hub.conditions.history import complete_after, value_of
from hub.conditions.keys import HISTORY
from hub.conditions.times import read_time
from hub.conditions.truth import At
from hub.store.elastic import tokens
from hub.store.port import Kind

AFTER: Final = "after"
"""Of a history: its entries are complete for what is later, milliseconds since 1970."""
_HISTORY: Final = "".join(map(tokens.key, HISTORY))
_FUNCTIONS: Final[tuple[Function, ...]] = ("count", "sum", "avg", "min", "max", "first", "last")


class _TooWideError(Exception):
    """The document has more tokens than an index should take."""


def facts(document: Mapping[str, Any], kind: Kind) -> list[str]:
    """The tokens of a document, decoded JSON, each once; of one with more than MOST_FACTS only WIDE."""
    made = _Facts(histories=kind == "profiles")
    try:
        made.members(document, "")
    except (_TooWideError, RecursionError):
        return [tokens.WIDE]
    return list(made.found)


class _Facts:
    """
    Collects tokens. Paths are written as `tokens.key` does, as long as they are.

    Each document that is written passes through here: what is asked for every value has to be quick.
    """

    def __init__(self, *, histories: bool) -> None:
        """Args: histories: the document has those of a profile."""
        self.found: dict[str, None] = {}  # in their order
        self._history = _HISTORY if histories else None

    def members(self, found: Mapping[str, Any], path: str, *, is_item: bool = False) -> None:
        """Of all that is in it. Args: is_item: of a list, perhaps with others between; also in `of`."""
        for name, value in found.items():
            if value is None:
                continue
            inner = path + _key(name)
            if inner == self._history and isinstance(value, dict):
                self._kind(inner, tokens.OBJECT if value else tokens.NO_OBJECT)
                for id, state in value.items():
                    self._state(state, inner + _key(id))
            else:
                self.of(value, inner, is_item=is_item)
        if len(self.found) > tokens.MOST_FACTS:
            raise _TooWideError

    def of(self, value: Any, path: str, *, is_item: bool = False) -> None:
        """Of a value, and of what is in it."""
        type_of, start = type(value), path if len(path) <= tokens.LONGEST_PATH else tokens.short(path)
        if type_of is str:
            self._text(value, start)
        elif type_of is dict:
            self.found[f"{start}:{tokens.OBJECT if value else tokens.NO_OBJECT}"] = None
            self.members(value, path, is_item=is_item)
        elif type_of is bool:
            self.found[f"{start}:{tokens.FLAG}"] = None
            self.found[f"{start}={tokens.AS_FLAG}{'1' if value else '0'}"] = None
        elif type_of is int or type_of is float:
            self.found[f"{start}:{tokens.NUMBER}"] = None
            self.found[f"{start}={tokens.AS_NUMBER}{_number(value)}"] = None
        elif type_of is list:
            self.found[f"{start}:{tokens.LIST if value else tokens.NO_LIST}"] = None
            self._list(value, path, is_item=is_item)

    def _list(self, found: list[Any], path: str, *, is_item: bool) -> None:
        items = path + tokens.ITEM
        if not is_item:
            # what one of the items has, the others have as null
            objects = [item for item in found if type(item) is dict]
            if objects:
                have = Counter(name for item in objects for name, value in item.items() if value is not None)
                for name in {name: None for item in objects for name in item}:
                    if have[name] < len(found):
                        self._kind(items + _key(name), tokens.NULL)
        for index, item in enumerate(found):
            if item is None:
                self._kind(items, tokens.NULL)
                continue
            self.of(item, items, is_item=True)
            if not is_item and index < tokens.MOST_PLACES:
                self.of(item, path + tokens.place(index))
            if len(self.found) > tokens.MOST_FACTS:
                raise _TooWideError

    def _text(self, text: str, start: str) -> None:
        """Args: start: the path as tokens begin with it."""
        found = self.found
        # a time begins with four digits
        us = read_time(text) if text[:1].isdigit() else None
        if us is not None:
            found[f"{start}:{tokens.TIME}"] = None
            found[f"{start}={tokens.AS_TIME}{tokens.instant(us)}"] = None
            found[f"{start}={tokens.AS_WRITTEN}{text}"] = None
            return
        found[f"{start}:{tokens.TEXT}"] = None
        small = text.lower()
        if max(len(text), len(small)) > tokens.LONGEST:
            found[f"{start}:{tokens.CUT}"] = None
        found[f"{start}={tokens.AS_TEXT}{tokens.cut(text)}"] = None
        if small != text:
            found[f"{start}={tokens.AS_SMALL}{tokens.cut(small)}"] = None

    def _state(self, state: object, path: str) -> None:
        """Of a history: what it comes to, since when all is known of it, and when its last events were."""
        if not isinstance(state, Mapping):
            if type(state) is int:
                self._kind(path, tokens.NUMBER)
            return
        self._kind(path, tokens.OBJECT)
        for function in _FUNCTIONS:
            if function in {"count", "first", "last"} or "sum" in state or not state["count"]:
                found = value_of(state, function, None, is_windowed=False)
                inner = path + tokens.series(function)
                if isinstance(found, At):
                    self._value(inner, tokens.TIME, tokens.AS_TIME, tokens.instant(found))
                elif isinstance(found, int | float):
                    self._value(inner, tokens.NUMBER, tokens.AS_NUMBER, tokens.number(found))
        after_ms = complete_after(state)
        self._value(path + tokens.series(AFTER), tokens.TIME, tokens.AS_TIME, tokens.instant(after_ms * 1_000))
        events = 0
        for entry in reversed(state.get("entries", ())):
            for nth in range(events + 1, min(events + entry[1], tokens.MOST_TIMES) + 1):
                inner = path + tokens.series(str(nth))
                self._value(inner, tokens.TIME, tokens.AS_TIME, tokens.instant(entry[0] * 1_000))
            events += entry[1]
            if events >= tokens.MOST_TIMES:
                break

    def _kind(self, path: str, kind: str) -> None:
        self.found[f"{tokens.short(path)}:{kind}"] = None

    def _value(self, path: str, kind: str, form: str, value: str) -> None:
        path = tokens.short(path)
        self.found[f"{path}:{kind}"] = None
        self.found[f"{path}={form}{value}"] = None


@lru_cache(maxsize=4_096)
def _key(name: str) -> str:
    return tokens.key(name)


@lru_cache(maxsize=4_096, typed=True)
def _number(value: float) -> str:
    return tokens.number(value)

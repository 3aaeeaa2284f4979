"""Where in a JSON or YAML file is what? Line and column of each field, and of the characters within a text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

from hub.edge.mapping.problems import Path, Problem

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_JSON: Final = json.JSONDecoder(strict=False)
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|U[0-9a-fA-F]{8}|.)",
    re.DOTALL,
)
"""One character of a double-quoted text in JSON or YAML; half a pair of surrogates is none by itself."""


class _Yaml(yaml.SafeLoader):
    """YAML, except that dates stay texts, as they are in JSON."""


_Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Place(NamedTuple):
    """In a file; both from 1."""

    line: int
    column: int


class Unreadable(ValueError):
    """The file is neither JSON nor YAML; `place` says from where on."""

    def __init__(self, detail: str, place: Place) -> None:
        """Args: detail: what is wrong."""
        super().__init__(detail)
        self.place = place


class _Spot(NamedTuple):
    """Where a value begins and ends in the text, and where its key begins; in characters from 0."""

    begin: int
    end: int
    key: int


class Source:
    """
    A file's text, the value that it holds, and the way back from a path in the value to the text.

    Attributes:
        value: As JSON, or as YAML reads it.
    """

    def __init__(self, text: str, *, is_json: bool) -> None:
        """Raises Unreadable."""
        self._text = text
        self._spots: dict[Path, _Spot] = {}
        self.value = self._read_json() if is_json else self._read_yaml()

    def place(self, problem: Problem, within: Path = ()) -> Place:
        """
        Where to look for a problem: at the character in an expression, else at the key of the field.

        Args:
            within: Path of the mapping in the document.
        """
        path = (*within, *problem.path)
        while path not in self._spots and path:
            path = path[:-1]  # what is missing is missing in there
        spot = self._spots.get(path, _Spot(0, 0, 0))
        if problem.column is None or path != (*within, *problem.path):
            return self._at(spot.key)
        return self._at(spot.begin + _offset(self._text[spot.begin : spot.end], problem.column))

    def _at(self, offset: int) -> Place:
        before = self._text[:offset]
        return Place(before.count("\n") + 1, offset - before.rfind("\n"))

    def _read_json(self) -> Any:
        try:
            value, end = self._json((), self._skip(0), 0)
            if self._skip(end) != len(self._text):
                raise json.JSONDecodeError("there is more behind the value", self._text, self._skip(end))
        except json.JSONDecodeError as exc:
            raise Unreadable(f"not JSON: {exc.msg}", Place(exc.lineno, exc.colno)) from exc
        except RecursionError as exc:
            raise Unreadable("not JSON: it is nested too deeply", Place(1, 1)) from exc
        return value

    def _skip(self, offset: int) -> int:
        match = _SPACE.match(self._text, offset)
        assert match is not None
        return match.end()

    def _json(self, path: Path, begin: int, key: int) -> tuple[Any, int]:
        """The value that begins there, and where it ends."""
        value: Any
        opening = self._text[begin : begin + 1]
        if opening == "{":
            value, end = self._json_object(path, begin)
        elif opening == "[":
            value, end = self._json_list(path, begin)
        else:
            value, end = _JSON.raw_decode(self._text, begin)
        self._spots[path] = _Spot(begin, end, key)
        return value, end

    def _json_object(self, path: Path, begin: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        at = self._skip(begin + 1)
        if self._text[at : at + 1] == "}":
            return found, at + 1
        while True:
            if self._text[at : at + 1] != '"':
                raise json.JSONDecodeError("expected a key in double quotes", self._text, at)
            name, end = _JSON.raw_decode(self._text, at)
            if name in found:
                raise json.JSONDecodeError(f"the key {name!r} is there twice", self._text, at)
            colon = self._skip(end)
            if self._text[colon : colon + 1] != ":":
                raise json.JSONDecodeError("expected `:`", self._text, colon)
            found[name], end = self._json((*path, name), self._skip(colon + 1), at)
            at = self._skip(end)
            if self._text[at : at + 1] == "}":
                return found, at + 1
            at = self._comma(at, "}")

    def _json_list(self, path: Path, begin: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        at = self._skip(begin + 1)
        if self._text[at : at + 1] == "]":
            return found, at + 1
        while True:
            value, end = self._json((*path, len(found)), at, at)
            found.append(value)
            at = self._skip(end)
            if self._text[at : at + 1] == "]":
                return found, at + 1
            at = self._comma(at, "]")

    def _comma(self, at: int, closing: str) -> int:
        if self._text[at : at + 1] != ",":
            raise json.JSONDecodeError(f"expected `,` or `{closing}`", self._text, at)
        return self._skip(at + 1)

    def _read_yaml(self) -> Any:
        try:
            return self._loaded(_Yaml(self._text))
        except yaml.MarkedYAMLError as exc:
            mark = exc.problem_mark or exc.context_mark
            place = Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
            raise Unreadable(f"not YAML: {exc.problem or exc.context}", place) from exc
        except yaml.reader.ReaderError as exc:
            detail = f"not YAML: the character U+{exc.character:04X} cannot stand in it"
            raise Unreadable(detail, self._at(exc.position)) from exc
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            raise Unreadable(f"not YAML: {exc}", Place(1, 1)) from exc

    def _loaded(self, loader: _Yaml) -> Any:
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            self._spots.update(_yaml_spots((), node, node.start_mark.index, frozenset()))
            return loader.construct_document(node)
        finally:
            loader.dispose()


def _yaml_spots(path: Path, node: yaml.Node, key: int, above: frozenset[int]) -> Iterator[tuple[Path, _Spot]]:
    yield path, _Spot(node.start_mark.index, node.end_mark.index, key)
    if id(node) in above:  # an alias to what it stands in
        return
    below = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            text = name.value if isinstance(name, yaml.ScalarNode) else "?"
            yield from _yaml_spots((*path, text), value, name.start_mark.index, below)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from _yaml_spots((*path, place), value, value.start_mark.index, below)


def _offset(raw: str, column: int) -> int:
    """
    How far into a text, as the file has it, its character number `column` stands.

    Texts over several lines are folded in more ways than are worth following: for those it is where they begin.
    """
    if "\n" in raw:
        return 0
    if raw[:1] == '"':
        at = 1
        for _ in range(column - 1):
            escape = _ESCAPE.match(raw, at)
            at = escape.end() if escape else at + 1
        return min(at, len(raw))
    if raw[:1] == "'":
        at = 1
        for _ in range(column - 1):
            at += 2 if raw.startswith("''", at) else 1
        return min(at, len(raw))
    return min(column - 1, len(raw))

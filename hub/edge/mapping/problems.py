"""What is wrong with a mapping, and where in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple, TypeAlias

from pydantic import BaseModel, ValidationError

from hub.definitions.wording import said
from hub.edge.mapping.spec import Case, EventMapping, MappingSpec

Path: TypeAlias = tuple[str | int, ...]
_MODELS: Final[dict[str, type[BaseModel]]] = {"event": EventMapping, "events": EventMapping, "tests": Case}


class Problem(NamedTuple):
    """
    One thing that is wrong.

    Attributes:
        path: Of the field, from the outermost in.
        column: Within the field's expression, from 1; None: it is not about an expression.
        expression: The expression.
    """

    path: Path
    detail: str
    column: int | None = None
    expression: str = ""

    @property
    def where(self) -> str:
        """The path as people write it, such as `events[1].properties.amount`."""
        return dotted(self.path)

    def __str__(self) -> str:
        """On one line."""
        column = "" if self.column is None else f" (column {self.column})"
        expression = f", in the expression {self.expression!r}" if self.expression else ""
        return f"{self.where or 'mapping'}: {self.detail}{column}{expression}"


class MappingError(ValueError):
    """A mapping that cannot be used; the message names the fields and, within their expressions, the column."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Args: problems: at least one."""
        self.problems: Sequence[Problem] = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


def dotted(path: Path) -> str:
    """`("events", 1, "type")` as `events[1].type`."""
    return "".join(f"[{part}]" if type(part) is int else f".{part}" for part in path).removeprefix(".")


def of_validation(error: ValidationError) -> Iterator[Problem]:
    """What pydantic found, with the key that was probably meant."""
    for found in error.errors(include_url=False):
        path: Path = tuple(found["loc"])
        detail = said(found)
        if found["type"] == "extra_forbidden":
            detail = f"there is no such field{_meant(path)}"
        yield Problem(path, detail)


def _meant(path: Path) -> str:
    model = _MODELS.get(str(path[0]), MappingSpec) if len(path) > 1 else MappingSpec
    near = get_close_matches(str(path[-1]), model.model_fields, 1)
    return f"; is it `{near[0]}`?" if near else ""

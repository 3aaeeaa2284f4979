"""What is wrong with a search, and where."""

from __future__ import annotations

from hub.errors import HubError


class QueryError(HubError):
    """
    A query or cursor that cannot be used; the text is made for the person who wrote it.

    Attributes:
        detail: What is wrong, in plain words.
        line: Line in the query, from 1; 0 when it is not about the query's text (a cursor).
        column: Column in that line, from 1; 0 likewise.
        expected: What could have stood there, in plain words; empty when that is not the point.
    """

    def __init__(self, detail: str, line: int = 0, column: int = 0, expected: tuple[str, ...] = ()) -> None:
        """Args: see the attributes."""
        where = f"line {line}, column {column}: " if line else ""
        wanted = f"; expected {_either(expected)}" if expected else ""
        super().__init__(f"{where}{detail}{wanted}")
        self.detail = detail
        self.line = line
        self.column = column
        self.expected = expected


def _either(choices: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))

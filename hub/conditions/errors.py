"""What is wrong with a condition, and where."""

from __future__ import annotations

from hub.errors import HubError

_SHOWN: int = 60
"""Characters on each side of the place in an excerpt."""


class QueryError(HubError):
    """
    A query or cursor that cannot be used; the text is made for the person who wrote it.

    Attributes:
        detail: What is wrong, in plain words.
        line: Line in the query, from 1; 0 when it is not about the query's text (a cursor).
        column: Column in that line, from 1; 0 likewise.
        expected: What could have stood there, in plain words; empty when that is not the point.
        excerpt: The line of the query and below it a caret at the column; empty when that is not known.
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
        self.excerpt = ""

    def show(self, query: str) -> None:
        """Make the excerpt. Args: query: the text that line and column are of."""
        lines = query.split("\n")
        if not 1 <= self.line <= len(lines):
            return
        text = lines[self.line - 1]
        begin = max(0, self.column - 1 - _SHOWN)
        # a tab stays a tab, so that the caret stands below its character
        before = "".join("\t" if character == "\t" else " " for character in text[begin : self.column - 1])
        self.excerpt = f"{text[begin : self.column - 1 + _SHOWN]}\n{before}^"


def _either(choices: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))

"""Templates: JSON whose texts are expressions, written as statements of a function; and one alone, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hub.edge.code import MESSAGE, Code
from hub.edge.expression import EVALUATION
from hub.edge.functions import NO_META
from hub.edge.mapping.problems import MappingError, Path, Problem, dotted
from hub.edge.mapping.spec import Template
from hub.edge.syntax import ExpressionError, Node, parse
from hub.errors import InvalidPayload

_NULL: Final[Node] = {"type": "literal", "value": None, "children": []}


class TemplateWriter:
    """
    Writes statements for templates, field by field. What is wrong is collected, so that all of it is said at once.

    Attributes:
        code: What has been written.
        problems: What is wrong with the templates.
    """

    def __init__(self) -> None:
        """Nothing is written yet."""
        self.code = Code()
        self.problems: list[Problem] = []

    def value(self, path: Path, template: Template, at: str) -> str:
        """Statements for any template; the name of what it gives, or the literal that it is."""
        if isinstance(template, str):
            return self.expression(path, template, at)
        if isinstance(template, dict):
            return self.fields(path, template, at)
        if isinstance(template, list):
            self.problems.append(Problem(path, 'a list is written as an expression, such as "[a, b]"'))
            return "None"
        return self.code.constant(template)

    def fields(self, path: Path, template: Mapping[str, Template], at: str) -> str:
        """Statements for an object, fields without a value left out; its name."""
        code = self.code
        made = code.bound("{}")
        for name, value in template.items():
            text = self.value((*path, str(name)), value, at)
            if text.isidentifier() and text not in ("True", "False"):
                with code.block(f"if {text} is not None:"):
                    code.line(f"{made}[{str(name)!r}] = {text}")
            else:
                code.line(f"{made}[{str(name)!r}] = {text}")
        return made

    def expression(self, path: Path, text: str, at: str) -> str:
        """Statements for an expression; its name, or the literal that it is."""
        self.code.place = dotted(path)
        try:
            node = parse(text)
        except ExpressionError as exc:
            self.problems.append(Problem(path, exc.detail, exc.column, text))
            node = _NULL
        return self.code.value(node, at)


class CompiledTemplate:
    """
    One template. Call it with a message: whatever the template makes of it, None for nothing.

    Attributes:
        uses_meta: Whether it needs to be given the message's meta at all.
    """

    def __init__(self, name: str, template: Template) -> None:
        """
        Args:
            name: Where it stands, for what is wrong with it.

        Raises:
            MappingError: names every field that is wrong.
        """
        writer = TemplateWriter()
        writer.code.line(f"return {writer.value((name,), template, MESSAGE)}")
        if writer.problems:
            raise MappingError(writer.problems)
        self._code = writer.code
        self._make = writer.code.function()
        self.uses_meta = writer.code.uses_meta

    def __call__(self, message: Any, meta: Mapping[str, Any] = NO_META) -> Any:
        """
        Args:
            message: Any JSON value.
            meta: What `meta(…)` gives.

        Raises: InvalidPayload: `mapping_failed`, and which field.
        """
        try:
            return self._make(message, meta)
        except EVALUATION as exc:
            where = self._code.place_of(exc.__traceback__)
            raise InvalidPayload("mapping_failed", f"{where}: {exc}" if where else str(exc), where) from exc

"""Writes Python for JMESPath: one function, in which all expressions share the paths that they have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import Any, Final

from hub.edge.functions import NUMBERS, Functions, Interpreter
from hub.edge.syntax import TABLE, Node, calls

MESSAGE: Final = "m"
"""The name of the whole message in the code, and `meta` that of its meta."""
DEEPEST: Final = 40
"""Levels of indentation; Python takes 100. What is nested deeper is left to the library."""

_FUNCTIONS: Final = Functions()
_INTERPRETER: Final = Interpreter()
_EQUAL: Final = Interpreter.COMPARATOR_FUNC["eq"]
_COMPARABLE: Final = frozenset({int, float, str})
# bool is listed by JMESPath as a type of its own, so `number` is exactly int and float
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


class Code:
    """
    Collects statements; `value` adds those that an expression needs and says under which name its value is found.

    A path, a literal, a call, a condition or a comparison becomes Python; projections, filters and slices are left to
    the library. What lies on a common way is looked up once. JMESPath's own interpreter, which the property test
    compares it with, takes ten times as long.

    Attributes:
        place: Whatever the statements that follow are for; `place_of` finds it again when one of them has raised.
        uses_meta: Whether any of them needs the message's meta.
    """

    def __init__(self) -> None:
        """Starts with an empty function."""
        self.place = ""
        self.uses_meta = False
        self._lines: list[tuple[str, str]] = []
        self._depth = 1
        self._number = count()
        self._known: dict[tuple[str, str], str] = {}
        self._scope: dict[str, Any] = {
            "NUMBERS": NUMBERS,
            "FUNCTIONS": _FUNCTIONS,
            "NOTHING": {},
            "call": _FUNCTIONS.call_function,
            "equal": _EQUAL,
            "ordered": _ordered,
            "search": _INTERPRETER.visit,
            "search_with": _search_with,
        }

    def function(self) -> Callable[[Any, Mapping[str, Any]], Any]:
        """What has been collected, as a function of a message and its meta."""
        source = "\n".join([f"def made({MESSAGE}, meta):", *(line for line, _ in self._lines)])
        exec(compile(source, "<mapping>", "exec"), self._scope)  # noqa: S102 - names and literals are written with repr
        made: Callable[[Any, Mapping[str, Any]], Any] = self._scope["made"]
        return made

    def place_of(self, traceback: TracebackType | None) -> str:
        """Which `place` the statement belongs to that raised. Args: traceback: of the exception."""
        made = self._scope["made"].__code__
        while traceback is not None:
            if traceback.tb_frame.f_code is made:
                return self._lines[traceback.tb_lineno - 2][1]  # the first line is the `def`
            traceback = traceback.tb_next
        return ""

    def line(self, text: str) -> None:
        """Add a statement."""
        self._lines.append(("    " * self._depth + text, self.place))

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Statements below `head`, such as `if x:`. What is looked up in there is not known outside."""
        self.line(head)
        before, self._known = self._known, dict(self._known)
        self._depth += 1
        yield
        self._depth -= 1
        self._known = before

    def name(self) -> str:
        """A name that nothing else has."""
        return f"v{next(self._number)}"

    def constant(self, value: Any) -> str:
        """How a value is written, or the name that it has got."""
        if value is None or type(value) in (bool, str):
            return repr(value)
        name = f"K{next(self._number)}"
        self._scope[name] = value
        return name

    def bound(self, text: str) -> str:
        """A name for a Python expression."""
        name = self.name()
        self.line(f"{name} = {text}")
        return name

    def named(self, text: str) -> str:
        """A name for what `value` gave: a literal has none, and `is` and `.get` want one."""
        return text if text.isidentifier() and text not in ("None", "True", "False") else self.bound(text)

    def value(self, node: Node, at: str) -> str:
        """
        Statements for an expression.

        Args:
            at: Name of the value that it is about: MESSAGE, or that of an element of a list.

        Returns: the name that its value has from here on, in this block; or a literal.
        """
        writer = _WRITERS.get(node["type"])
        text = writer(self, node, at) if writer is not None and self._depth < DEEPEST else None
        return self._by_the_library(node, at) if text is None else text

    def _by_the_library(self, node: Node, at: str) -> str:
        tree, called = self.constant(node), set(calls(node))
        if called.isdisjoint(("meta", "message")):
            return self.bound(f"search({tree}, {at})")
        self.uses_meta = self.uses_meta or "meta" in called
        return self.bound(f"search_with({tree}, {at}, meta, {MESSAGE})")

    def _looked_up(self, at: str, key: str, text: str) -> str:
        if (at, key) not in self._known:
            self._known[at, key] = self.bound(text)
        return self._known[at, key]

    def _field(self, node: Node, at: str) -> str:
        name = repr(node["value"])
        # of the message itself, and of elements, several fields are wanted: their type is looked at once
        if at == MESSAGE or at.startswith("each"):
            get = self._looked_up(at, "get", f"({at} if type({at}) is dict else NOTHING).get")
            return self._looked_up(at, name, f"{get}({name})")
        return self._looked_up(at, name, f"{at}.get({name}) if type({at}) is dict else None")

    def _index(self, node: Node, at: str) -> str:
        number = node["value"]
        inside = f"-len({at}) <= {number} < len({at})"
        return self._looked_up(at, str(number), f"{at}[{number}] if type({at}) is list and {inside} else None")

    def _literal(self, node: Node, _: str) -> str:
        return self.constant(node["value"])

    def _current(self, _: Node, at: str) -> str:
        return at

    def _chain(self, node: Node, at: str) -> str:
        for child in node["children"]:
            at = self.value(child, self.named(at))
        return at

    def _or(self, node: Node, at: str) -> str:
        left, right = node["children"]
        made = self.bound(self.value(left, at))
        with self.block(f"if not {made} and type({made}) not in NUMBERS:"):
            self.line(f"{made} = {self.value(right, at)}")
        return made

    def _and(self, node: Node, at: str) -> str:
        left, right = node["children"]
        made = self.bound(self.value(left, at))
        with self.block(f"if {made} or type({made}) in NUMBERS:"):
            self.line(f"{made} = {self.value(right, at)}")
        return made

    def _not(self, node: Node, at: str) -> str:
        value = self.named(self.value(node["children"][0], at))
        return self.bound(f"not {value} and type({value}) not in NUMBERS")

    def _comparison(self, node: Node, at: str) -> str:
        left, right = (self.value(child, at) for child in node["children"])
        operator = node["value"]
        if operator not in ("eq", "ne"):
            return self.bound(f"ordered({operator!r}, {left}, {right})")
        # only with numbers the library's equality is another than Python's
        same = f"{left} == {right}" if left[0] == "'" or right[0] == "'" else f"equal({left}, {right})"
        return self.bound(same if operator == "eq" else f"not ({same})")

    def _list(self, node: Node, at: str) -> str:
        made = self.bound("None")
        with self.block(f"if {at} is not None:"):
            self.line(f"{made} = [{', '.join([self.value(child, at) for child in node['children']])}]")
        return made

    def _dict(self, node: Node, at: str) -> str:
        made = self.bound("None")
        pairs = [(child["value"], child["children"][0]) for child in node["children"]]
        with self.block(f"if {at} is not None:"):
            if all(value["type"] == "literal" for _, value in pairs):
                self.line(f"{made} = {self.constant({name: value['value'] for name, value in pairs})}")
            else:
                self.line(f"{made} = {{{', '.join([f'{name!r}: {self.value(value, at)}' for name, value in pairs])}}}")
        return made

    def _call(self, node: Node, at: str) -> str | None:
        name, arguments = node["value"], node["children"]
        special = _SPECIAL.get(name)
        if special is not None:
            return special(self, node, at)
        if any(argument["type"] == "expref" for argument in arguments):
            return None
        return self.bound(self._called(name, arguments, [self.value(argument, at) for argument in arguments]))

    def _message(self, _: Node, __: str) -> str:
        return MESSAGE

    def _meta(self, node: Node, at: str) -> str:
        argument = node["children"][0]
        self.uses_meta = True
        if argument["type"] == "literal" and type(argument["value"]) is str:
            name = self.constant(argument["value"])
            return self._looked_up("meta", name, f"meta.get({name})")
        return self._by_the_library(node, at)

    def _default(self, node: Node, at: str) -> str:
        value, other = node["children"]
        made = self.bound(self.value(value, at))
        with self.block(f"if {made} is None:"):
            self.line(f"{made} = {self.value(other, at)}")
        return made

    def _if(self, node: Node, at: str) -> str:
        condition, then, *otherwise = node["children"]
        found, made = self.named(self.value(condition, at)), self.name()
        with self.block(f"if {found} or type({found}) in NUMBERS:"):
            self.line(f"{made} = {self.value(then, at)}")
        with self.block("else:"):
            self.line(f"{made} = {self.value(otherwise[0], at) if otherwise else None}")
        return made

    def _called(self, name: str, arguments: list[Node], values: list[str]) -> str:
        """The function itself where the arguments have its types; else the library, which says what is wrong."""
        checked = f"call({name!r}, [{', '.join(values)}])"
        conditions = []
        for argument, value, entry in zip(arguments, values, TABLE[name]["signature"], strict=False):
            types = entry["types"]
            if any(kind not in _TYPES for kind in types):
                return checked  # it has to look inside a list
            allowed = frozenset(kind for names in types for kind in _TYPES[names])
            if not types or (argument["type"] == "literal" and type(argument["value"]) in allowed):
                continue
            conditions.append(f"type({value}) in {self.constant(allowed)}")
        self._scope[f"call_{name}"] = TABLE[name]["function"]
        direct = f"call_{name}({', '.join(['FUNCTIONS', *values])})"
        return f"{direct} if {' and '.join(conditions)} else {checked}" if conditions else direct


def _ordered(operator: str, left: Any, right: Any) -> Any:
    if type(left) not in _COMPARABLE or type(right) not in _COMPARABLE:
        return None
    return Interpreter.COMPARATOR_FUNC[operator](left, right)


def _search_with(node: Node, value: Any, meta: Mapping[str, Any], message: Any) -> Any:
    return Interpreter(meta, message).visit(node, value)


_SPECIAL: Final[dict[str, Callable[[Code, Node, str], str]]] = {
    "message": Code._message,
    "meta": Code._meta,
    "default": Code._default,
    "if": Code._if,
}
"""Functions that are more than a call of something with values."""
_WRITERS: Final[dict[str, Callable[[Code, Node, str], str | None]]] = {
    "field": Code._field,
    "index": Code._index,
    "literal": Code._literal,
    "current": Code._current,
    "identity": Code._current,
    "subexpression": Code._chain,
    "index_expression": Code._chain,
    "pipe": Code._chain,
    "or_expression": Code._or,
    "and_expression": Code._and,
    "not_expression": Code._not,
    "comparator": Code._comparison,
    "multi_select_list": Code._list,
    "multi_select_dict": Code._dict,
    "function_expression": Code._call,
}

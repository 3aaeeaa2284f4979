"""Texts: written, cut, put together, compared."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Annotated, Final, Literal

from pydantic import Field

from hub.flows.fields import Template
from hub.flows.node import THEN, Call, Config, NodeFault, Outcome, Valued, node
from hub.flows.notation import as_text

GROUP: Final = "Texts"
COMPARED: Final = 1_000
"""Characters of texts whose likeness is worked out: it takes their product."""
MOST: Final = 10_000
"""Parts of a text."""


class OfText(Valued):
    """A text."""

    text: Annotated[Template, Field(description="Such as event@properties.name.")]


class Marked(Valued):
    """A text with marks."""

    template: Annotated[Template, Field(description="Such as `Hello {{ profile@traits.name }}`.")]


@node("text", group=GROUP, gives="text")
def text(config: Marked, call: Call) -> str:
    """Write a text, with values in it."""
    return as_text(config.template(call.scope))


class Cased(OfText):
    """A text, and how to write it."""

    case: Literal["upper", "lower", "title", "capitalised", "slug"]


@node("change-case", group=GROUP, gives="text")
def change_case(config: Cased, call: Call) -> str:
    """Write a text in capitals, in small letters, as a title, or as it may stand in a URL."""
    found = call.text(config.text)
    if config.case == "slug":
        return re.sub(r"[\W_]+", "-", found.lower()).strip("-")
    change = {"upper": str.upper, "lower": str.lower, "title": str.title, "capitalised": str.capitalize}
    return change[config.case](found)


class Trimmed(OfText):
    """A text, and what is taken off."""

    characters: Annotated[str, Field(description="Any of these. Empty: blanks and line breaks.")] = ""
    side: Literal["both", "left", "right"] = "both"


@node("trim", group=GROUP, gives="text")
def trim(config: Trimmed, call: Call) -> str:
    """Take blanks, or other characters, off the ends of a text."""
    found, characters = call.text(config.text), config.characters or None
    if config.side == "both":
        return found.strip(characters)
    return found.lstrip(characters) if config.side == "left" else found.rstrip(characters)


class Parted(OfText):
    """A text, and where it is cut."""

    separator: Annotated[str, Field(min_length=1, description="What stands between the parts.")] = ","
    trim: Annotated[bool, Field(description="Without the blanks around each part.")] = True


@node("split-text", group=GROUP, gives="list")
def split_text(config: Parted, call: Call) -> list[str]:
    """Cut a text into a list at a separator."""
    parts = call.text(config.text).split(config.separator)
    if len(parts) > MOST:
        raise NodeFault(f"the text has more than {MOST:,} parts")
    return [part.strip() for part in parts] if config.trim else parts


class Joined(Valued):
    """A list, and what is put between."""

    items: Annotated[Template, Field(description="A list.")]
    separator: str = ", "


@node("join-text", group=GROUP, gives="text")
def join_text(config: Joined, call: Call) -> str:
    """Write a list as one text."""
    return config.separator.join(map(as_text, call.items(config.items)))


class Replaced(OfText):
    """A text, what is looked for and what it becomes."""

    find: Annotated[str, Field(min_length=1)]
    replace: Annotated[Template, Field(description="Another text; empty: it is taken out.")] = Template("")


@node("replace-text", group=GROUP, gives="text")
def replace_text(config: Replaced, call: Call) -> str:
    """Put another text in the place of a part, wherever it is found."""
    found, new = call.text(config.text), call.text(config.replace)
    if len(found) + found.count(config.find) * len(new) > 4 * 1_048_576:
        raise NodeFault("the text would be too long")
    return found.replace(config.find, new)


class Cut(OfText):
    """A text, and which part of it."""

    begin: Annotated[int, Field(description="Of the first character, from 0; below 0: from the end.")] = 0
    end: Annotated[int | None, Field(description="Behind the last one. Unset: to the end.")] = None


@node("cut-text", group=GROUP, gives="text")
def cut_text(config: Cut, call: Call) -> str:
    """Take a part of a text."""
    return call.text(config.text)[config.begin : config.end]


class Compared(Config):
    """A text, and what it is compared with."""

    text: Annotated[Template, Field(description="Such as event@properties.name.")]
    how: Literal["is", "contains", "starts", "ends"] = "contains"
    other: Annotated[Template, Field(description="A text; of a list, one of its items is enough.")]
    ignore_case: bool = False


@node("compare-text", group=GROUP, ports=THEN)
def compare_text(config: Compared, call: Call) -> Outcome:
    """Whether a text is another one, contains it, or starts or ends with it."""
    found, others = call.text(config.text), config.other(call.scope)
    wanted = [as_text(other) for other in (others if isinstance(others, list) else [others])]
    if config.ignore_case:
        found, wanted = found.casefold(), [other.casefold() for other in wanted]
    tests = {"is": str.__eq__, "contains": str.__contains__, "starts": str.startswith, "ends": str.endswith}
    return call.asked(any(tests[config.how](found, other) for other in wanted))


class Alike(Valued):
    """Two texts."""

    text: Annotated[Template, Field(description="One.")]
    other: Annotated[Template, Field(description="The other.")]


@node("likeness", group=GROUP, gives="number")
def likeness(config: Alike, call: Call) -> float:
    """How much alike two texts are: 1 the same, 0 nothing in common; of their first 1,000 characters."""
    left, right = call.text(config.text)[:COMPARED], call.text(config.other)[:COMPARED]
    return round(SequenceMatcher(None, left, right, autojunk=False).ratio(), 4)


class Length(Valued):
    """Of what."""

    value: Annotated[Template, Field(description="A text, a list or an object.")]


@node("length", group=GROUP, gives="number")
def length(config: Length, call: Call) -> int:
    """How many characters a text has, items a list, members an object; of null 0."""
    value = config.value(call.scope)
    if value is None:
        return 0
    if isinstance(value, str | list | dict):
        return len(value)
    raise NodeFault(f"{config.value}: {value!r:.80} has no length")

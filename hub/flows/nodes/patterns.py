"""Regular expressions: found in a text, put something in their place."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from hub.flows.fields import Pattern, Template
from hub.flows.node import THEN, Call, Config, NodeFault, Outcome, node
from hub.flows.nodes.texts import MOST, OfText

GROUP: Final = "Texts"


class Match(Config):
    """A text, and a pattern."""

    text: Annotated[Template, Field(description="Such as event@properties.url.")]
    pattern: Annotated[Pattern, Field(description="Regular expression (RE2), found anywhere; ^ and $ for the ends.")]
    into: Annotated[
        str,
        Field(pattern=r"^[^.\s]{0,64}$", description="Member of the payload for what its groups hold. Empty: none."),
    ] = "groups"


@node("regex-match", group=GROUP, ports=THEN)
def regex_match(config: Match, call: Call) -> Outcome:
    """Whether a regular expression is found in a text; the groups go into the payload, by name or number."""
    found = config.pattern.value.search(call.text(config.text))
    if found is None or not config.into or not isinstance(call.payload, dict):
        return call.asked(found is not None)
    named = {number: name for name, number in config.pattern.value.groupindex.items()}
    groups = {"0": found.group(0)}
    groups |= {named.get(number, str(number)): value for number, value in enumerate(found.groups(), 1)}
    return Outcome(THEN[0], {**call.payload, config.into: groups})


class FindAll(OfText):
    """A text, and a pattern."""

    pattern: Annotated[Pattern, Field(description="Regular expression (RE2).")]
    most: Annotated[int, Field(ge=1, le=MOST)] = 100


@node("regex-find", group=GROUP, gives="list")
def regex_find(config: FindAll, call: Call) -> list[str]:
    """All that a regular expression finds in a text; if it has a group, what that holds."""
    found: list[str] = []
    for match in config.pattern.value.finditer(call.text(config.text)):
        if len(found) == config.most:
            break
        found.append((match.group(1) or "") if config.pattern.value.groups else match.group(0))
    return found


class Substitute(OfText):
    """A text, a pattern, and what it becomes."""

    pattern: Annotated[Pattern, Field(description="Regular expression (RE2).")]
    replace: Annotated[str, Field(max_length=1_000, description="Another text; \\1 is what the first group holds.")] = (
        ""
    )


@node("regex-replace", group=GROUP, gives="text")
def regex_replace(config: Substitute, call: Call) -> str:
    """Put another text wherever a regular expression is found."""
    found = call.text(config.text)
    if len(found) * (len(config.replace) + 1) > 16 * 1_048_576:
        raise NodeFault("the text would be too long")
    try:
        return str(config.pattern.value.sub(config.replace, found))
    except Exception as exc:
        raise NodeFault(f"replace: {config.replace!r} does not fit the pattern: {exc}") from exc

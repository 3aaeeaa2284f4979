"""A text in capitals. An example of a node of a package of one's own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hub.flows.fields import Template
from hub.flows.node import Call, Valued, node


class Shout(Valued):
    """A text, and how loud."""

    text: Annotated[Template, Field(description="Such as profile@traits.name.")]
    marks: Annotated[int, Field(ge=0, le=10, description="Exclamation marks behind it.")] = 1


@node("shout", group="Texts", gives="text")
def shout(config: Shout, call: Call) -> str:
    """Write a text in capitals, with exclamation marks."""
    return call.text(config.text).upper() + "!" * config.marks

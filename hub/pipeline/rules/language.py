"""The language that a customer likes best."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_TAG: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


@lru_cache(maxsize=4_096)
def language_of(text: str) -> str:
    """
    The first choice, such as `en-GB`; empty if there is none.

    Args: text: an Accept-Language header, or the name of a locale, such as en_GB.
    """
    best, best_weight = "", 0.0
    for choice in text.split(","):
        tag, _, parameter = choice.strip().partition(";")
        weight = _weight(parameter)
        if weight > best_weight and _TAG.fullmatch(tag.strip()):
            best, best_weight = tag.strip(), weight
    return _spelled(best)


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _spelled(tag: str) -> str:
    language, *rest = tag.replace("_", "-").split("-")
    return "-".join([language.lower(), *map(_subtag, rest)])


def _subtag(text: str) -> str:
    """A country in capitals, a script with one."""
    return text.upper() if len(text) == 2 else text.title() if len(text) == 4 else text

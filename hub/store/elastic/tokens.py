"""
How a document's fields are written as tokens of one keyword field, in an order that the engine can compare.

| token          | says                                                                                  |
|----------------|---------------------------------------------------------------------------------------|
| `.a.b:k`       | at `a.b` there is something of kind `k`: of TEXT, TIME, NUMBER, FLAG, …; none for null |
| `.a.b=xVALUE`  | its value as `x`: AS_TEXT, AS_WRITTEN, AS_TIME, AS_NUMBER, AS_FLAG, AS_SMALL           |
| `.a[]…`        | the same of an item of the list `a`, whichever it is                                  |
| `.a[3]…`       | the same of one item, by its place from 0                                             |
| `.a{sum}…`     | the same of what the history kept at `a` comes to                                     |

Lucene orders tokens by their UTF-8 bytes, which is the order of Python's texts.
"""

from __future__ import annotations

import re
import struct
from hashlib import blake2b
from typing import Final

FACTS: Final = "facts"
"""The keyword field of an index that has the tokens."""

TEXT: Final = "s"
TIME: Final = "d"  # a text that is a time
NUMBER: Final = "n"
FLAG: Final = "b"
OBJECT: Final = "o"
NO_OBJECT: Final = "O"  # one without keys
LIST: Final = "l"
NO_LIST: Final = "L"  # one without items
NULL: Final = "0"  # only of items, and of what other items of the same list have
CUT: Final = "c"  # beside TEXT or TIME: it is longer than LONGEST
TEXTS: Final = (TEXT, TIME)
LISTS: Final = (LIST, NO_LIST)
SINGLE: Final = (TEXT, TIME, NUMBER, FLAG, OBJECT, NO_OBJECT)
THERE: Final = (*SINGLE, *LISTS)

AS_TEXT: Final = "s"  # of TEXT
AS_WRITTEN: Final = "t"  # of TIME: the text
AS_TIME: Final = "d"  # of TIME: the instant
AS_NUMBER: Final = "n"
AS_FLAG: Final = "b"
AS_SMALL: Final = "f"  # of TEXT: in small letters, if that is another text

ITEM: Final = "[]"
WIDE: Final = "*"
"""The one token of a document that has more than an index should take: nothing is known of it."""
MOST_FACTS: Final = 20_000
MOST_PLACES: Final = 32
"""How many items of a list can be asked for by their place."""
MOST_TIMES: Final = 32
"""How many of its last events a history has the times of: `.a{1}`, `.a{2}` …"""
LONGEST: Final = 1_000
"""Characters of a text that are compared."""
LONGEST_PATH: Final = 160
"""Characters of a path as tokens begin with it; of longer ones there is a hash."""
MARK: Final = "\U0010ffff"
"""Behind a text that was cut."""

_ODD: Final = re.compile(r"[\\.:=\[\]{}]")
_MOST: Final = 2**64
_FAR: Final = 1 << 79  # instants lie far within


def key(name: str) -> str:
    """The part of a path that is a key of an object."""
    return f".{_ODD.sub(_escaped, name)}"


def place(index: int) -> str:
    """The part of a path that is a place in a list."""
    return f"[{index}]"


def series(name: str) -> str:
    """The part of a path that is something that a history comes to."""
    return f"{{{name}}}"


def short(path: str) -> str:
    """The path as tokens begin with it: one that is long is cut, and told from others by its hash."""
    if len(path) <= LONGEST_PATH:
        return path
    mark = blake2b(path.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{path[: LONGEST_PATH // 2]}~{mark}"


def number(value: float) -> str:
    """19 hex digits, in the order of the numbers: the float below it, and what is left of a large integer."""
    if isinstance(value, int) and abs(value) >= _MOST:
        value = float(value)
    below = float(value)
    if below > value:  # rounded up: Python compares both exactly
        below = _before(below)
    return f"{_sortable(below):016x}{int(value - int(below)) if isinstance(value, int) else 0:03x}"


def instant(us: int) -> str:
    """20 hex digits. Args: us: microseconds since 1970."""
    return f"{max(0, min(us + _FAR, 2 * _FAR - 1)):020x}"


def cut(text: str) -> str:
    """As much of a text as is compared."""
    return text if len(text) <= LONGEST else text[:LONGEST] + MARK


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[0]}"


def _sortable(value: float) -> int:
    """The bits of a float as a number that is in the order of the floats."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", value + 0.0))  # -0.0 is 0.0
    found: int = bits ^ (_ALL if bits >> 63 else _SIGN)
    return found


def _before(value: float) -> float:
    (bits,) = struct.unpack(">q", struct.pack(">d", value))
    (found,) = struct.unpack(">d", struct.pack(">q", bits - 1 if value > 0 else bits + 1))
    return float(found)


_ALL: Final = 2**64 - 1
_SIGN: Final = 2**63

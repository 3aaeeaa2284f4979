"""What came out differently? Two sets of profiles, compared field by field. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

Profiles: TypeAlias = Iterable[tuple[str, bytes]]
"""(id, document as JSON), by id."""

MISSING: Final = object()
MOST_FIELDS: Final = 1_000
"""Most different paths that are counted one by one."""

_IGNORED: Final = frozenset(
    ("metadata", name) for name in ("version", "fields", "apart", "segments", "judged", "due", "history")
)
"""
The place on the log, which is another one; which event set a field last, which shows in the field; with whom a
profile must not be joined, which people have decided; and since when it is in which segment, which goes by the time of
asking.
"""
_WORD: Final = re.compile(r"[A-Za-z0-9_-]+")
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class FieldDiff(msgspec.Struct):
    """One field: in how many profiles it differs; samples `{"profile", "live", "shadow"}`, or one of the two."""

    path: str
    profiles: int
    samples: list[dict[str, Any]]


class Diff(msgspec.Struct):
    """
    Live's profiles beside the shadow's.

    `later`: not compared, as live has taken events since that were not replayed. `fields`: the most frequent first;
    `fields_left_out`: further differences, in fields beyond the first MOST_FIELDS.
    """

    live: int
    shadow: int
    same: int
    differ: int
    only_live: int
    only_shadow: int
    later: int
    fields: list[FieldDiff]
    fields_left_out: int
    samples: dict[str, list[str]]


def compare(live: Profiles, shadow: Profiles, later: Callable[[str, dict[str, Any]], bool], samples: int) -> Diff:
    """
    Both in one pass, with one profile of each in memory.

    Args:
        later: whether live's profile (id, document) holds events that were not replayed.
        samples: most of each kind: profile ids, and values of a field.
    """
    found = Diff(0, 0, 0, 0, 0, 0, 0, [], 0, {"differ": [], "only_live": [], "only_shadow": []})
    fields: dict[str, FieldDiff] = {}

    def sample(kind: str, id: str) -> None:
        if len(found.samples[kind]) < samples:
            found.samples[kind].append(id)

    for id, ours, theirs in pairs(live, shadow):
        before = None if ours is None else _decode(ours)
        after = None if theirs is None else _decode(theirs)
        found.live += before is not None
        found.shadow += after is not None
        if before is not None and later(id, before):
            found.later += 1
        elif after is None:
            found.only_live += 1
            sample("only_live", id)
        elif before is None:
            found.only_shadow += 1
            sample("only_shadow", id)
        elif differences := list(_differences(before, after, ())):
            found.differ += 1
            sample("differ", id)
            for path, old, new in differences:
                found.fields_left_out += not _count(fields, id, _name(path), (old, new), samples)
        else:
            found.same += 1
    found.fields = sorted(fields.values(), key=lambda field: (-field.profiles, field.path))
    return found


def _count(fields: dict[str, FieldDiff], id: str, name: str, values: tuple[Any, Any], samples: int) -> bool:
    field = fields.get(name)
    if field is None:
        if len(fields) >= MOST_FIELDS:
            return False
        field = fields[name] = FieldDiff(name, 0, [])
    field.profiles += 1
    if len(field.samples) < samples:
        sides = zip(("live", "shadow"), values, strict=True)
        field.samples.append({"profile": id} | {side: value for side, value in sides if value is not MISSING})
    return True


def pairs(live: Profiles, shadow: Profiles) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    """By id: live's document, the shadow's; None where there is none. One of each is in memory."""
    ours, theirs = iter(live), iter(shadow)
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[0], one[1], None
            one = next(ours, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1]
            other = next(theirs, None)
        else:
            yield one[0], one[1], other[1]
            one, other = next(ours, None), next(theirs, None)


def _differences(
    live: Mapping[str, Any], shadow: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """(path, live's value, the shadow's), MISSING where there is none. A list is one value."""
    for key in {**live, **shadow}:
        path = (*above, key)
        if path in _IGNORED:
            continue
        old, new = live.get(key, MISSING), shadow.get(key, MISSING)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, path)
        elif type(old) is not type(new) or old != new:
            yield path, old, new


def _name(path: tuple[str, ...]) -> str:
    """As a search writes it (docs/query.md)."""
    return ".".join(key if _WORD.fullmatch(key) else json.dumps(key, ensure_ascii=False) for key in path)

"""Lists and tables: sorted, cut, summed up, counted, read from and written as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import Field

from hub.edge.paths import found_at
from hub.flows.arithmetic import divided, number_of, plus
from hub.flows.fields import Query, Template
from hub.flows.node import Call, NodeFault, Valued, node
from hub.flows.notation import as_text

GROUP: Final = "Lists"
_MOST: Final = 100_000
_MOST_BYTES: Final = 4 * 1_048_576
_encode: Final = msgspec.json.Encoder(order="sorted").encode


class OfList(Valued):
    """A list."""

    items: Annotated[Template, Field(description="Such as event@properties.products.")]


class ByKey(OfList):
    """A list, and by what of each item."""

    by: Annotated[str, Field(description="Place in each item, such as price. Empty: the item itself.")] = ""


class Sorted(ByKey):
    """A list, and how to sort it."""

    descending: bool = False


@node("sort-list", group=GROUP, gives="list")
def sort_list(config: Sorted, call: Call) -> list[Any]:
    """Sort a list: null first, then truth values, numbers, texts, the rest; what is equal stays in its order."""
    items = call.items(config.items)
    return sorted(items, key=lambda item: _order(_of(item, config.by)), reverse=config.descending)


@node("unique-items", group=GROUP, gives="list")
def unique_items(config: ByKey, call: Call) -> list[Any]:
    """Each item of a list once, the first that there is."""
    seen: set[bytes] = set()
    found = []
    for item in call.items(config.items):
        mark = _encode(_of(item, config.by))
        if mark not in seen:
            seen.add(mark)
            found.append(item)
    return found


class Sliced(OfList):
    """A list, and which part of it."""

    begin: Annotated[int, Field(description="Of the first item, from 0; below 0: from the end.")] = 0
    end: Annotated[int | None, Field(description="Behind the last one. Unset: to the end.")] = None


@node("cut-list", group=GROUP, gives="list")
def cut_list(config: Sliced, call: Call) -> list[Any]:
    """Take a part of a list."""
    return list(call.items(config.items)[config.begin : config.end])


class Filtered(OfList):
    """A list, and which items stay."""

    condition: Annotated[
        Query, Field(description="On each item, as `payload`: price > 10 AND event@properties.currency = currency.")
    ]


@node("filter-list", group=GROUP, gives="list")
def filter_list(config: Filtered, call: Call) -> list[Any]:
    """Keep those items of a list for which a condition is true."""
    return [item for item in call.items(config.items) if config.condition({**call.scope, "payload": item}, call.now_ms)]


class Made(OfList):
    """A list, and what becomes of each item."""

    template: Annotated[Template, Field(description="With the item as `payload@`, such as payload@name.")]


@node("map-list", group=GROUP, gives="list")
def map_list(config: Made, call: Call) -> list[Any]:
    """Make a new list, of each item what a template gives."""
    made, size = [], 0
    for item in call.items(config.items):
        made.append(config.template({**call.scope, "payload": item}))
        size += len(_encode(made[-1]))
        if size > _MOST_BYTES:
            raise NodeFault(f"the list would have more than {_MOST_BYTES:,} bytes")
    return made


class Summed(ByKey):
    """A list, and what it comes to."""

    how: Literal["sum", "average", "smallest", "largest", "count", "median"] = "sum"


@node("sum-up", group=GROUP, gives="any")
def sum_up(config: Summed, call: Call) -> int | float | None:
    """Sum, average, smallest, largest, number or median of the numbers in a list; nulls are left out."""
    found = [_of(item, config.by) for item in call.items(config.items)]
    numbers = [number_of(value, str(config.items)) for value in found if value is not None]
    if config.how == "count":
        return len(numbers)
    total: int | float = 0
    for number in numbers:
        total = plus(total, number)
    if config.how == "sum":
        return total
    if not numbers:
        return None
    if config.how == "average":
        return divided(total, len(numbers))
    if config.how == "median":
        return median(numbers)
    return min(numbers) if config.how == "smallest" else max(numbers)


@node("count-values", group=GROUP, gives="object")
def count_values(config: ByKey, call: Call) -> dict[str, int]:
    """How often each value is in a list, the most frequent first."""
    counts = Counter(as_text(_of(item, config.by)) for item in call.items(config.items))
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


@node("group-list", group=GROUP, gives="object")
def group_list(config: ByKey, call: Call) -> dict[str, list[Any]]:
    """Items of a list that have the same value somewhere, together under that value."""
    groups: dict[str, list[Any]] = {}
    for item in call.items(config.items):
        groups.setdefault(as_text(_of(item, config.by)), []).append(item)
    return groups


class Sets(Valued):
    """Two lists, as sets."""

    left: Annotated[Template, Field(description="A list.")]
    right: Annotated[Template, Field(description="Another list.")]
    how: Literal["union", "both", "only-left", "not-both"] = "union"


@node("combine-lists", group=GROUP, gives="list")
def combine_lists(config: Sets, call: Call) -> list[Any]:
    """Items of either list, of both, of the left one alone, or of one but not both; each once."""
    left, right = _marked(call.items(config.left)), _marked(call.items(config.right))
    if config.how == "both":
        return [item for mark, item in left.items() if mark in right]
    alone = {mark: item for mark, item in left.items() if mark not in right}
    if config.how == "only-left":
        return list(alone.values())
    if config.how == "union":
        return [*left.values(), *_others(right, left)]
    return [*alone.values(), *_others(right, left)]


class Lines(Valued):
    """A table as text."""

    text: Annotated[Template, Field(description="CSV; the first line has the names of the columns.")]
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","


@node("read-table", group=GROUP, gives="list")
def read_table(config: Lines, call: Call) -> list[dict[str, str]]:
    """Read CSV: a list of objects, a line each."""
    reader = csv.DictReader(io.StringIO(call.text(config.text)), delimiter=config.delimiter, strict=True, restkey="")
    try:
        names = reader.fieldnames or ()
        if len(set(names)) < len(names):
            raise ValueError(f"two columns are called {max(names, key=[*names].count)!r}")
        rows = [{name: value for name, value in row.items() if name and value is not None} for row in reader]
    except (csv.Error, ValueError) as exc:
        raise NodeFault(f"{config.text}: line {reader.line_num} is no CSV: {exc}") from exc
    if len(rows) > _MOST:
        raise NodeFault(f"the table has more than {_MOST:,} lines")
    return rows


class Table(Valued):
    """Objects, and their columns."""

    items: Annotated[Template, Field(description="A list of objects.")]
    columns: Annotated[
        list[str], Field(default_factory=list, description="Members of each. Empty: those of the first.")
    ]
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","


@node("write-table", group=GROUP, gives="text")
def write_table(config: Table, call: Call) -> str:
    """Write a list of objects as CSV."""
    items = call.items(config.items)
    if not all(isinstance(item, dict) for item in items):
        raise NodeFault(f"{config.items}: a list of objects is expected")
    columns = config.columns or (list(items[0]) if items else [])
    out = io.StringIO()
    writer = csv.writer(out, delimiter=config.delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([as_text(item.get(column)) for column in columns] for item in items)
    return out.getvalue()


def _of(item: Any, place: str) -> Any:
    return found_at(item, place.split(".")) if place else item


def _order(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 1, value
    if isinstance(value, int | float):
        return 2, value
    return (3, value) if isinstance(value, str) else (4, _encode(value))


def _marked(items: Sequence[Any]) -> dict[bytes, Any]:
    found: dict[bytes, Any] = {}
    for item in items:
        found.setdefault(_encode(item), item)
    return found


def _others(right: dict[bytes, Any], left: dict[bytes, Any]) -> list[Any]:
    return [item for mark, item in right.items() if mark not in left]

"""The live tail without Kafka: how much it shows, what slow listeners cost, what it does not show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.api import tail as live_tail
from hub.api.tail import Tail
from hub.api.tail_rows import PROPERTIES_BYTES, Sampler, first_of
from hub.errors import Unavailable
from hub.log.tail import Heard, Told
from hub.store.memory import MemoryStore
from tests.destinations import record


class Reader:
    """Hands on what a test gives it. `heard` and `told` are the tail's."""

    def __init__(self, heard: Heard, told: Told) -> None:
        self.heard, self.told = heard, told
        self.is_alive = False

    def start(self) -> None:
        self.is_alive = True

    def stop(self) -> None:
        self.is_alive = False

    def join(self) -> None:
        pass


class Site:
    """A tail, and the readers that it has had."""

    def __init__(self, store: Any = None, most: int = 3) -> None:
        self.readers: list[Reader] = []
        self.tail = Tail(self._reader, store or MemoryStore(), b"key", most=most)

    def _reader(self, heard: Heard, told: Told) -> Reader:
        self.readers.append(Reader(heard, told))
        return self.readers[-1]

    def store(self, *numbers: int) -> None:
        self.readers[-1].heard([record(number)[1] for number in numbers])


async def taken(listener: live_tail.Listener) -> list[tuple[str, dict[str, Any]]]:
    """What it has by now."""
    await asyncio.sleep(0)
    found = []
    for block in listener._taken().decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in lines:
            found.append((lines.get("event", "message"), json.loads(lines["data"])))
    return found


@given(st.integers(1, 200), st.lists(st.tuples(st.floats(0, 0.4), st.integers(0, 500)), max_size=40))
def test_no_second_shows_more_than_the_rate_and_a_quiet_one_shows_all(
    rate: int, steps: list[tuple[float, int]]
) -> None:
    now_s, began_s, shown, came = 5.0, 5.0, 0, 0
    sampler = Sampler(rate, now_s)
    for wait_s, events in steps:
        now_s += wait_s
        if now_s - began_s >= 1:
            sampler.begin()
            began_s, shown, came = now_s, 0, 0
        now = min(events, sampler.room(now_s))
        sampler.spend(now)
        shown += now
        came += events
        assert shown <= rate


def test_what_comes_together_in_a_quiet_second_is_shown_whole() -> None:
    sampler = Sampler(50, 5.0)
    assert sampler.room(5.1) == 50


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=900) | st.integers() | st.lists(st.integers()), max_size=9)
)
def test_a_row_has_no_more_of_the_properties_than_it_may(properties: Mapping[str, Any]) -> None:
    kept = first_of(properties)
    assert kept.items() <= properties.items() if all(map(_hashable, properties.values())) else True
    assert (
        len(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"))
        <= PROPERTIES_BYTES + 9
    )
    assert len(properties) == len(kept) or len(json.dumps(properties)) > 900


def _hashable(value: object) -> bool:
    return not isinstance(value, list)


def test_small_properties_are_there_behind_a_large_one() -> None:
    assert first_of({"page": "x" * PROPERTIES_BYTES, "price": 5}) == {"price": 5}


async def test_whoever_takes_nothing_loses_rows_and_nobody_else_does() -> None:
    site = Site()
    slow, quick = site.tail.listen("", 10), site.tail.listen("", 10)
    assert len(site.readers) == 1, "they share one"
    quick._began_s = slow._began_s = 0.0
    heard = []
    for begin in range(0, 60, 10):
        for each in (slow, quick):
            each._sampler = Sampler(10, 0.0)  # as if seconds had passed
            each._began_s = 0.0
        site.store(*range(begin, begin + 10))
        heard += await taken(quick)
    assert [row["properties"]["number"] for name, row in heard if name == "message"] == [*range(60)]
    late = await taken(slow)
    (summary,) = [told for name, told in late if name == "summary"]
    assert [name for name, _ in late].count("message") == summary["shown"] == 20
    assert (summary["stored"], summary["matched"], summary["lost"]) == (60, 60, 40)


async def test_rows_that_waited_too_long_are_not_shown_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    listener = site.tail.listen("", 10)
    listener._began_s = 0.0
    site.store(1)
    await asyncio.sleep(0)
    monkeypatch.setattr(live_tail, "STALE_S", -1.0)
    told = await taken(listener)
    assert "message" not in [name for name, _ in told]
    assert told[-1][1]["lost"] == 1


async def test_with_the_store_away_nothing_is_shown_as_nobody_says_who_is_erased() -> None:
    class Away(MemoryStore):
        def voids(self, marks: Sequence[str]) -> Any:
            raise Unavailable("store", "gone")

    site = Site(Away())
    listener = site.tail.listen("", 10)
    listener._began_s = 0.0
    site.store(1, 2)
    told = await taken(listener)
    assert "message" not in [name for name, _ in told]
    assert told[-1][1]["withheld"] == 2


async def test_of_very_many_only_some_are_tried_on_a_filter_and_it_says_so() -> None:
    site = Site()
    few, all_of_them = site.tail.listen("properties.number < 5", 200), site.tail.listen("", 200)
    few._began_s = all_of_them._began_s = 0.0
    site.store(*range(2_500))
    told = dict(await taken(few))["summary"]
    assert (told["stored"], told["looked_at"], told["matched"]) == (2_500, 2_000, 5)
    told = dict(await taken(all_of_them))["summary"]
    assert (told["stored"], told["looked_at"], told["matched"], told["shown"]) == (2_500, 2_500, 2_500, 200)


async def test_a_fault_ends_listeners_with_a_word_and_the_next_one_begins_anew() -> None:
    class Broken(MemoryStore):
        def voids(self, marks: Sequence[str]) -> Any:
            raise ZeroDivisionError

    site = Site(Broken())
    listener = site.tail.listen("", 10)
    site.store(1)
    assert (await taken(listener))[-1][1]["state"] == "ended"
    assert not site.readers[0].is_alive
    site.tail.leave(listener)
    site.tail.listen("", 10)
    assert len(site.readers) == 2


async def test_the_reader_is_there_while_somebody_listens_and_no_more_may_than_may() -> None:
    site = Site(most=2)
    one, two = site.tail.listen("", 10), site.tail.listen("", 10)
    with pytest.raises(Unavailable, match="HUB_API__TAIL_LISTENERS"):
        site.tail.listen("", 10)
    site.tail.leave(one)
    assert site.readers[0].is_alive
    site.tail.leave(two)
    assert not site.readers[0].is_alive
    await site.tail.close()
    with pytest.raises(Unavailable, match="ends"):
        site.tail.listen("", 10)


async def test_silence_is_broken_by_a_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_tail, "HEARTBEAT_S", 0.001)
    site = Site()
    messages = site.tail.listen("", 10).messages()
    heard = [await anext(messages) for _ in range(3)]
    assert heard[0] == live_tail.RECONNECT
    assert b"state" in heard[1]
    assert heard[2].startswith(b":")

"""What a mapping may ask of a message is there when its dead letter is sent again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridges.base import Delivery, Headers
from bridges.convert import META_BYTES
from schemas.topics import MAX_RECORD_BYTES
from tests.letters import Buried, telling, told

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
BYTES = st.binary(max_size=5).map(lambda value: value.replace(b"\0", b""))


class Told(Delivery):
    """Of a broker that knows more."""

    more: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def meta(self) -> dict[str, Any]:
        return {**super().meta(), **self.more}


async def replayed(delivery: Delivery) -> dict[str, Any]:
    """The properties of its event, which are the same as without a detour."""
    letter = Buried(delivery, "gone", {}, telling(delivery.meta()))
    again = told(await letter.replay())
    assert again == told(letter.direct)
    return again[1][0][2]


@given(
    st.lists(st.tuples(TEXT, st.none() | BYTES), max_size=4),
    st.none() | BYTES,
    st.none() | st.integers(1, 2**40),
    st.dictionaries(st.sampled_from(["topic", "offset", "headers"]), st.none() | st.integers(0, 9) | TEXT),
)
async def test_a_replay_knows_what_the_bridge_knew(
    headers: Headers, key: bytes | None, time_ms: int | None, more: dict[str, Any]
) -> None:
    """A header that is there twice, one without a value, a message without a time among it."""
    delivery = Told(b"{}", "t/0/1", time_ms, key, headers, more=more)
    assert await replayed(delivery) == {name: value for name, value in delivery.meta().items() if value is not None}


async def test_nothing_is_kept_twice() -> None:
    delivery = Told(b"{}", "t/0/1", 5, b"k", [("h", b"v")], more={"topic": "t"})
    letter = Buried(delivery, "gone", {}, telling({}))
    assert (letter.document["meta"], letter.document["headers"]) == ({"topic": "t"}, {"h": "v"})


async def test_what_has_no_room_is_left_out() -> None:
    """The small is kept, whatever large there is beside it, and the record stays one that the log takes."""
    more = {"large": "x" * META_BYTES, "topic": "t"}
    letter = Buried(Told(b"{}", "t/0/1", 5, more=more), "gone", {}, telling({"large": "", "topic": ""}))
    [(_, _, properties)] = told(await letter.replay())[1]
    assert properties == {"topic": "t"}, "null is no property"
    assert len(json.dumps(letter.document)) < MAX_RECORD_BYTES


async def test_a_value_that_json_has_not_is_text() -> None:
    """A bridge of somebody's own may tell anything."""
    letter = Buried(Told(b"{}", "t/0/1", 5, more={"at": 1 + 2j}), "gone", {}, telling({}))
    assert letter.document["meta"] == {"at": "(1+2j)"}

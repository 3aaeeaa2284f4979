"""Frames cut anywhere become deliveries; properties are what a client library wrote, and rubbish is no failure."""

from __future__ import annotations

import struct
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import frame, spec

from bridges.amqp import UNREADABLE, Arrived, Frames, properties

HEARTBEAT = frame.Heartbeat().marshal()


def delivery(tag: int, body: bytes, channel: int = 1, fragment: int = 4000) -> bytes:
    """As a server sends it."""
    method = spec.Basic.Deliver("0", tag, False, "shop", "orders.eu")
    parts = [body[at : at + fragment] for at in range(0, len(body), fragment)]
    return b"".join(
        part.marshal()
        for part in (
            frame.Method(channel, method),
            frame.Header(channel, len(body), pika.BasicProperties(message_id=f"m{tag}")),
            *(frame.Body(channel, part) for part in parts),
        )
    )


def read(data: bytes, cuts: list[int]) -> tuple[list[Arrived], list[bytes]]:
    """What comes of it when it is cut so."""
    others: list[bytes] = []
    arrived: list[Arrived] = []
    frames = Frames(others.append)
    frames.sinks[1] = arrived.append
    at = 0
    for cut in [*cuts, len(data)]:
        frames.feed(data[at : at + cut])
        at += cut
    return arrived, others


@given(
    bodies=st.lists(st.binary(max_size=50), min_size=1, max_size=5),
    cuts=st.lists(st.integers(min_value=1, max_value=40), max_size=60),
    fragment=st.integers(min_value=1, max_value=60),
)
def test_deliveries_are_whole_however_the_bytes_are_cut(bodies: list[bytes], cuts: list[int], fragment: int) -> None:
    data = HEARTBEAT.join(delivery(tag, body, fragment=fragment) for tag, body in enumerate(bodies, 1))
    arrived, others = read(data, cuts)
    assert [(each.tag, each.body) for each in arrived] == list(enumerate(bodies, 1))
    assert {(each.consumer, each.exchange, each.routing_key) for each in arrived} == {(b"0", b"shop", b"orders.eu")}
    assert others == [HEARTBEAT] * (len(bodies) - 1)


def test_channels_that_send_at_the_same_time_are_kept_apart() -> None:
    """And a channel without a sink is the library's, frame by frame."""
    one, other = delivery(1, b"ab", 1, 1), delivery(7, b"cd", 2, 1)
    half = len(frame.Method(1, spec.Basic.Deliver("0", 1, False, "shop", "orders.eu")).marshal())
    arrived, others = read(one[:half] + other + one[half:], [])
    assert [(each.tag, each.body) for each in arrived] == [(1, b"ab")]
    assert b"".join(others) == other
    assert len(others) == 4


def test_what_is_no_frame_is_said() -> None:
    with pytest.raises(ValueError, match="frame"):
        read(HEARTBEAT[:-1] + b"\0", [])


def encoded(**values: Any) -> bytes:
    return b"".join(pika.BasicProperties(**values).encode())


@given(st.binary(max_size=80))
def test_rubbish_for_properties_raises_nothing(data: bytes) -> None:
    properties(data)


def test_headers_up_to_the_first_that_cannot_be_read_are_kept() -> None:
    good = b"\x01aS" + struct.pack(">I", 1) + b"x"
    bad = b"\x01b?" + b"rest"
    table = struct.pack(">I", len(good + bad)) + good + bad
    found = properties(struct.pack(">H", 1 << 13 | 1 << 7) + table + b"\x02id")
    assert list(found.headers) == [("a", b"x"), (UNREADABLE, bad)]
    assert found.message_id == "id", "what follows the headers is read all the same"


def test_each_property_is_read_as_it_was_written_and_what_is_nested_as_json() -> None:
    said: dict[str, Any] = {
        "content_type": "application/json",
        "content_encoding": "gzip",
        "delivery_mode": 2,
        "priority": 3,
        "correlation_id": "c-1",
        "reply_to": "answers",
        "expiration": "60000",
        "message_id": "m-1",
        "timestamp": 1_795_533_660,
        "type": "order",
        "user_id": "shop",
        "app_id": "till",
    }
    nested = {"place": {"city": "Rome", "floors": [1, "two", None]}, "name": "x", "paid": True}
    found = properties(encoded(headers=nested, **said))
    assert {name: getattr(found, name) for name in said} == said
    assert dict(found.headers) == {
        "place": b'{"city": "Rome", "floors": [1, "two", null]}',
        "name": b"x",
        "paid": b"true",
    }


def test_whole_numbers_can_be_told_from_texts() -> None:
    found = properties(encoded(headers={"offset": 5, "text": "5"}))
    assert found.numbers == {"offset": 5}
    assert list(found.headers) == [("offset", b"5"), ("text", b"5")]


def test_a_message_that_says_nothing_of_itself() -> None:
    found = properties(encoded())
    assert (found.message_id, found.timestamp, list(found.headers)) == (None, None, [])

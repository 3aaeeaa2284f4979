"""Records that can be made unreadable: what stays of them with their key, and without it."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from hub.errors import Refused
from hub.pipeline.data_keys import DataKey, Wrapping, key_record, read_id, read_key
from hub.pipeline.privacy import PROFILE, mark
from hub.pipeline.sealed import MARKER, Sealer, is_sealed, key_id, opened, stub
from schemas.codec import decode_inbound, encode_inbound
from schemas.records import PATCH, Inbound
from schemas.topics import MAX_RECORD_BYTES
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import step_record
from tests.unit.test_privacy import order

WRAPPING = Wrapping("correct horse")
SEALER = Sealer(WRAPPING, b"key")
FORWARDED: Any = {"sent_as": "bob", "first_at": "1/2/3", "forwarded_for": "e7"}


def sealed(inbound: Inbound) -> tuple[bytes, DataKey]:
    value, key = SEALER.seal(encode_inbound(inbound))
    assert key is not None
    return value, key


def payload(**more: Any) -> Inbound:
    one = track("ann", event("e1", "diagnosis", text="measles"), event("e2"), session_id="sess-77", context=b'{"a":1}')
    return {**one, **more}


def test_a_record_is_opened_with_its_key() -> None:
    for inbound in (payload(), payload(**FORWARDED), step_record("m1", "ann", "bob", "data")):
        value, key = sealed(inbound)
        assert is_sealed(value)
        assert key_id(value) == key.id
        assert opened(value, key.wrapped, WRAPPING) == encode_inbound(inbound)
        assert opened(value[:-1] + bytes([value[-1] ^ 1]), key.wrapped, WRAPPING)[:4] == value[:4]


def test_no_two_keys_are_the_same_and_none_is_in_clear_text() -> None:
    (one, first), (other, second) = sealed(payload()), sealed(payload())
    assert one != other
    assert first.id != second.id
    wire = b"".join(key_record(first))
    assert WRAPPING.unwrap(first.id, first.wrapped) not in wire + one


@pytest.mark.parametrize(("at", "says"), [(2, 2**64 - 1), (3, 2**40), (3, -1), (0, None), (0, "x" * 60_000)])
def test_what_somebody_else_has_labelled_ends_nobody(at: int, says: Any) -> None:
    label: list[Any] = ["shop", "p1", NOW_MS, 1, None, None, None, "", "", ""]
    label[at] = says
    clear = msgspec.msgpack.encode(label)
    left = stub(MARKER + bytes(16) + len(clear).to_bytes(2, "big") + clear)
    assert left is None or decode_inbound(left)["source"] == says


def test_without_its_key_nothing_is_left_but_what_counts() -> None:
    """Whose it was, when it came, from where, and how many events: not what, nor in which session."""
    value, _ = sealed(payload(**FORWARDED))
    for secret in (b"measles", b"diagnosis", b"sess-77", b"e1"):
        assert secret not in value
    left = stub(value)
    assert left is not None
    inbound = decode_inbound(left)
    wanted = payload(**FORWARDED)
    for name in ("source", "profile_id", "received_at_ms", "sent_as", "first_at", "forwarded_for"):
        assert inbound[name] == wanted[name]  # type: ignore[literal-required]
    assert [one["properties"] for one in inbound["body"][1]["events"]] == [b"{}", b"{}"]  # type: ignore[typeddict-item]


def test_a_step_of_a_merge_is_still_told_apart() -> None:
    step = step_record("m1", "ann", "bob", "data")
    left = stub(sealed(step)[0])
    assert left is not None
    inbound = decode_inbound(left)
    assert (inbound["id"], inbound["body"][0]) == (step["id"], step["body"][0])
    assert inbound["body"][1]["loser_id"] == "bob"  # type: ignore[typeddict-item]
    assert inbound["body"][1]["step"] == "data"  # type: ignore[typeddict-item]


def test_what_is_damaged_is_neither_opened_nor_taken_for_something_else() -> None:
    value, key = sealed(payload())
    for end in range(len(value)):
        cut = value[:end]
        if is_sealed(cut):
            assert opened(cut, key.wrapped, WRAPPING) == cut
            stub(cut)  # whatever it says, it raises nothing
    assert not is_sealed(encode_inbound(payload()))
    assert not is_sealed(b"")


@pytest.mark.parametrize(
    "value",
    [
        encode_inbound(track("", event("e1"))),
        encode_inbound(order("o1", "ann")),
        encode_inbound({**track("ann"), "body": (PATCH, {"cause": "c", "operations": b"[]"})}),
        sealed(payload())[0],
        b"rubbish",
        b"",
    ],
)
def test_what_holds_nothing_of_a_known_person_stays_as_it_is(value: bytes) -> None:
    assert SEALER.seal(value) == (value, None)


def test_another_secret_opens_nothing_and_says_so() -> None:
    value, key = sealed(payload())
    with pytest.raises(Refused, match="HUB_SECRET_KEY"):
        opened(value, key.wrapped, Wrapping("other"))


def test_whose_a_key_is() -> None:
    """Of the profile that an erasure of the person names, and as old as the message is."""

    def of(inbound: Inbound, first_ms: int | None = None) -> tuple[str, int]:
        key = SEALER.seal(encode_inbound(inbound), first_ms)[1]
        assert key is not None
        return key.mark, key.at_ms

    ann, bob = (mark(PROFILE, id, b"key") for id in ("ann", "bob"))
    assert of(payload()) == (ann, NOW_MS)
    assert of(payload(), NOW_MS - 9) == (ann, NOW_MS - 9)
    assert of(payload(), NOW_MS + 9) == (ann, NOW_MS)
    assert of(payload(**FORWARDED)) == (bob, NOW_MS)
    assert of(step_record("m1", "ann", "bob", "data")) == (bob, NOW_MS)
    assert of(step_record("m1", "ann", "bob", "ask")) == (ann, NOW_MS)


def test_a_key_is_read_as_it_was_written() -> None:
    _, key = sealed(payload())
    name, value = key_record(key)
    assert (name, read_id(name)) == (key.id.hex().encode(), key.id)
    assert read_key(key.id, value) == key
    assert read_id(b"x") is read_id(b"ab") is read_key(key.id, b"{}") is read_key(key.id, b"\xff") is None


def test_a_large_record_grows_by_nothing() -> None:
    """Else a forwarded one might be too large for the topic."""
    letters = random.Random(1).choices("0123456789abcdef", k=MAX_RECORD_BYTES)
    inbound = track("ann", event("e1", text="".join(letters)))
    value, key = sealed(inbound)
    assert len(value) < len(encode_inbound(inbound))
    assert opened(value, key.wrapped, WRAPPING) == encode_inbound(inbound)

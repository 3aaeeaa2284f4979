"""What stands on definitions.v1 is read by all processes, for ever: rubbish there stops none of them."""

from __future__ import annotations

import json

import pytest

from hub.collector.waited import WaitedTypes
from hub.definitions.catalogue import Applied, Catalogue
from hub.definitions.kinds import KINDS

RUBBISH = [
    b"\x00\xff",
    b"\xff" * 20,
    b'"\xff"',
    b"null",
    b"[]",
    b"{}",
    b'{"spec": 1, "updated_at_ms": 1}',
    b'{"spec": null, "updated_at_ms": 1}',
    b'{"spec": {}, "updated_at_ms": null}',
    b'{"spec": {}, "updated_at_ms": 1e300}',
    b'{"spec": {}, "updated_at_ms": 1e400}',
    b'{"spec": {}, "updated_at_ms": -1}',
    b'{"spec": {}, "updated_at_ms": 9223372036854775807}',
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"spec": ' + b"[" * 900 + b"]" * 900 + b', "updated_at_ms": 1}',
    b'{"spec": {"nodes": [1], "nodes": {"x": 7}}, "updated_at_ms": 1}',
]


@pytest.mark.parametrize("kind", KINDS)
def test_rubbish_leaves_what_is_in_force_and_what_comes_after_it_is_read(kind: str) -> None:
    catalogue, seen = Catalogue(), list[Applied]()
    waited = WaitedTypes(catalogue)
    catalogue.on_record(seen.append)
    catalogue.apply(b"source/shop", b'{"spec": {"name": "Shop"}, "updated_at_ms": 5}', 0)
    for number, value in enumerate(RUBBISH, 1):
        catalogue.apply(f"{kind}/shop".encode(), value, number)
        catalogue.apply(b"\xff\xfe/\x00", value, number)
    assert catalogue.offset == len(RUBBISH)
    shop = catalogue.entry("source", "shop")
    assert shop is not None
    assert json.loads(shop.spec.model_dump_json())["name"] == "Shop"
    assert shop.version == 0
    assert waited.types == frozenset()
    assert all(0 <= one.at_ms <= 10 for one in seen)

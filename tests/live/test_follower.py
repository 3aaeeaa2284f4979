"""Definitions in memory: all that were there when it began, and each that comes, in a moment."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hub.definitions.catalogue import Catalogue
from hub.log.follower import Follower
from hub.settings import Kafka
from schemas.topics import DEFINITIONS
from tests.kafka_tools import define, write

RECORDS = 20_000
IDS = 100
WITHIN_S = 30.0


def records() -> Iterator[tuple[bytes, bytes]]:
    for number in range(RECORDS):
        document = {"spec": {"type": ["rest"]}, "updated_at_ms": number}
        yield b"source/s%d" % (number % IDS), json.dumps(document).encode()


def test_all_that_was_there_is_read_before_it_begins(ours: Kafka, namespace: str) -> None:
    write(ours, DEFINITIONS.name(namespace), records())
    catalogue = Catalogue()
    with Follower(ours, namespace, catalogue) as follower:
        assert follower.level
        assert catalogue.offset == RECORDS - 1
        assert len(catalogue.entries("source")) == IDS
    assert not follower.level


def test_what_comes_is_read_and_an_empty_topic_is_no_reason_to_wait(ours: Kafka, namespace: str) -> None:
    catalogue = Catalogue()
    with Follower(ours, namespace, catalogue):
        assert catalogue.offset == -1
        for number in range(3):
            define(ours, namespace, "source", f"s{number}", {"type": ["rest"]})
            assert catalogue.wait_for(number, WITHIN_S)
            assert catalogue.entry("source", f"s{number}") is not None

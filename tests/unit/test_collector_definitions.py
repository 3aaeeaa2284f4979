"""A record waits for the definitions that its edge had seen; those that the topic has lost it does not get."""

from __future__ import annotations

import json

import pytest

from hub.collector.definitions import CompiledDefinitions
from hub.definitions.catalogue import Catalogue
from hub.errors import Refused, Unavailable


class Topic:
    """definitions.v1 as a broker has it, and as far as it is read."""

    def __init__(self, end: int, read: int) -> None:
        self.end = end
        self.asked = 0
        self.catalogue = Catalogue()
        for offset in range(read):
            spec = {"spec": {"name": str(offset)}, "updated_at_ms": 0}
            self.catalogue.apply(b"source/shop", json.dumps(spec).encode(), offset)

    def ends(self) -> int:
        self.asked += 1
        return self.end

    def definitions(self, *, accept_gap: bool = False) -> CompiledDefinitions:
        return CompiledDefinitions(self.catalogue, timeout_s=0, end=self.ends, accept_gap=accept_gap)


@pytest.mark.parametrize("accept_gap", [False, True])
def test_a_record_waits_for_what_is_on_the_topic(accept_gap: bool) -> None:
    topic = Topic(end=5, read=3)
    definitions = topic.definitions(accept_gap=accept_gap)
    assert definitions.at_least(2).offset == 2
    assert topic.asked == 0
    with pytest.raises(Unavailable, match="read up to offset 2 so far, and a record needs 4"):
        definitions.at_least(4)


@pytest.mark.parametrize("end", [0, 1, 3])
def test_definitions_that_the_topic_has_lost_stop_the_collector_until_a_person_accepts_it(end: int) -> None:
    topic = Topic(end=end, read=end)
    with pytest.raises(Refused, match=r"an offset 9, and now it ends before that.*hub apply.*--accept-gap"):
        topic.definitions().at_least(9)
    accepting = topic.definitions(accept_gap=True)
    for needed in (9, 7, 9):
        assert accepting.at_least(needed).offset == end - 1
    # what is defined from then on is waited for, as always
    topic.end = end + 1
    with pytest.raises(Unavailable):
        accepting.at_least(end)

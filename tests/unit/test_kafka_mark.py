"""Whether a committed offset is of the topic that is there, by what was committed beside it."""

from __future__ import annotations

import pytest

from bridges.kafka_mark import is_of_another

MARK = "topic:cluster-1:id-1"


@pytest.mark.parametrize(
    ("committed", "another"),
    [
        (MARK, False),
        ("topic:cluster-1:id-0", True),
        ("topic:cluster-0:id-0", False),  # a mirror has brought it along
        ("topic:cluster-10:id-0", False),
        ("", False),
        (None, False),
        ("somebody else's", False),
    ],
)
def test_only_a_mark_of_this_cluster_tells(committed: str | None, another: bool) -> None:
    assert is_of_another(committed, MARK) is another
    assert not is_of_another(committed, None), "the broker does not tell"

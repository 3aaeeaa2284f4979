"""Why whoever has opened the store before has to start anew, in words."""

from __future__ import annotations

from typing import Final

from hub.errors import Fenced

GROWN: Final = "more partitions"
"""In the place of a promotion's origin: the log was numbered anew (`Promoting.new_epoch`)."""


def fenced_by(origin: str) -> Fenced:
    """Args: origin: where profiles came from, or GROWN."""
    if origin == GROWN:
        return Fenced(
            "store",
            "events.v1 gets more partitions (hub partitions grow): what this process knows of them is old, so it "
            "starts again",
        )
    return Fenced(
        "store",
        f"profiles were replaced by those of {origin} (hub replay --promote): what this process remembers of them is "
        "old, so it starts again and reads them anew",
    )


def older_log(topic_id: str, epoch: int) -> str:
    """What a topic's log is called from then on that has been numbered anew. Args: epoch: the number it had."""
    return f"{topic_id}/{epoch}"

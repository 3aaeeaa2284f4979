"""Records of live onto another log: what was there at the start, then what has come since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Final

from hub.replay.bounds import Part
from hub.replay.sender import Sender
from hub.replay.source import Original, Originals
from schemas.codec import encode_inbound
from schemas.replays import copy_header

LOOK_EVERY: Final = 1_000
"""Records between two looks at whether whoever takes them lives."""


class Feed:
    """Sends, and knows how far it has sent."""

    def __init__(
        self,
        originals: Originals,
        sender: Sender,
        parts: Mapping[int, Part],
        *,
        definitions_offset: int,
        check: Callable[[], None],
        counted: Callable[[Original], None],
    ) -> None:
        """
        Args:
            parts: of the first records; what comes since follows on them.
            definitions_offset: what the collector has to know before it takes the records; -1: nothing.
            check: raises when there is no use in sending more. counted: called for each record that was sent.
        """
        self._originals = originals
        self._sender = sender
        self._parts = dict(parts)
        self._definitions_offset = definitions_offset
        self._check = check
        self._counted = counted
        self._held: list[Original] = []

    @property
    def ends(self) -> dict[int, int]:
        """By partition of live, the offset up to which everything is sent."""
        return {number: part.last for number, part in self._parts.items()}

    def begin(self) -> None:
        """All that was wanted. Raises Unavailable, Refused."""
        self._send(self._originals)

    def go_on(self, ends: Mapping[int, int], is_stored: Callable[[Original], bool], *, still: bool) -> int:
        """
        What has come on live's log since, up to these offsets, and is stored in live. What is not may have been handed
        on to another profile and be on its way there: it is kept, and sent by a later call.

        Args: still: live stores nothing meanwhile.

        Returns: how many offsets further it is. Raises Unavailable, Refused.
        """
        since = {
            number: replace(part, first=part.last, last=max(part.last, ends.get(number, 0)))
            for number, part in self._parts.items()
        }
        candidates, self._held = self._held, []
        self._send(self._stored(chain(candidates, self._originals.of_log(since)), is_stored, still))
        self._parts = since
        return sum(part.last - part.first for part in since.values())

    def _stored(
        self, originals: Iterable[Original], is_stored: Callable[[Original], bool], still: bool
    ) -> Iterator[Original]:
        behind: set[bytes] = set()
        for original in originals:
            if original.key not in behind and is_stored(original):
                yield original
                continue
            self._held.append(original)
            if not still:
                # the next one of the profile may be stored by the time that it is asked for: none overtakes another
                behind.add(original.key)

    def _send(self, originals: Iterable[Original]) -> None:
        for number, original in enumerate(originals):
            if number % LOOK_EVERY == 0:
                self._check()
            value = encode_inbound({**original.inbound, "definitions_offset": self._definitions_offset})
            header = copy_header(original.partition, original.offset)
            self._sender.send(original.key, value, header, original.events)
            self._counted(original)
        self._sender.flush()

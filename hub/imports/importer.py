"""The importer: rows onto the log, page by page, each told of when Kafka has it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from hub.errors import Refused
from hub.imports.convert import Converted, Converter
from hub.imports.outlet import Outlet, Shipment
from hub.imports.rows import Page, Position, Source
from hub.pipeline.stop_rule import StopRule

PAGES_AHEAD: Final = 4
"""That are under way while the next one is read."""


class Counts(NamedTuple):
    """
    What has become of rows. `read` is `sent` and `dead` together.

    Attributes:
        read: Rows.
        sent: Rows of which Kafka has a payload.
        dead: Rows that are on their way to the dead letters; Kafka has them, too.
        dropped: Of those sent, rows of which the mapping makes no event.
        events: In those sent.
    """

    read: int = 0
    sent: int = 0
    dead: int = 0
    dropped: int = 0
    events: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(*(one + two for one, two in zip(self, other, strict=True)))


class Bad(NamedTuple):
    """A row that is no payload, for people."""

    row: str
    reason: str
    detail: str


class Step(NamedTuple):
    """
    A page that Kafka has.

    Attributes:
        position: Behind it.
        done: As of the page.
        bad: Some of its bad rows.
    """

    position: Position
    counts: Counts
    done: int
    bad: list[Bad]


class Blobs(Protocol):
    """Where bytes go that are too large for a record."""

    def put_blob(self, data: bytes) -> str:
        """Keep them. Raises Unavailable."""
        ...


class _Sent(NamedTuple):
    page: Page
    made: list[Converted]
    shipment: Shipment


SHOWN: Final = 20


class Importer:
    """One import, as far as it goes without a person."""

    def __init__(
        self,
        source: Source,
        converter: Converter,
        outlet: Outlet,
        blobs: Blobs,
        *,
        stop_rule: StopRule,
        now_ms: Callable[[], int],
    ) -> None:
        """Args: source: open. stop_rule: of rows. now_ms: the clock, milliseconds since 1970."""
        self._source = source
        self._converter = converter
        self._outlet = outlet
        self._blobs = blobs
        self._stop_rule = stop_rule
        self._now_ms = now_ms

    def run(self, position: Position) -> Iterator[Step]:
        """
        Import all that comes behind a position. Each page is told of, in order, once Kafka has it.

        Raises: Refused: the source cannot be read, or most rows are bad: a person has to act. Unavailable: another try
            from the last step's position may go better. What was read before that is told of first.
        """
        under_way: deque[_Sent] = deque()
        try:
            for page in self._source.pages(position):
                made = self._made(page)
                under_way.append(_Sent(page, made, self._outlet.send(made)))
                while under_way and (len(under_way) > PAGES_AHEAD or under_way[0].shipment.is_done):
                    yield self._landed(under_way.popleft())
        except Refused:
            # the rows before the fault count, and need not be read again
            while under_way:
                yield self._landed(under_way.popleft())
            raise
        while under_way:
            yield self._landed(under_way.popleft())

    def _made(self, page: Page) -> list[Converted]:
        """Raises Refused, with nothing of the page sent."""
        now_ms, convert = self._now_ms(), self._converter.convert
        made = [convert(row, now_ms) for row in page.rows]
        bad = [one for one in made if one.refusal is not None]
        self._stop_rule.add(len(made), len(bad))
        if self._stop_rule.broken:
            reasons = Counter(str(one.refusal) for one in bad)
            most = f" Most of them: {reasons.most_common(1)[0][0]}." if reasons else ""
            raise Refused(
                "import",
                f"stopped before {page.rows[0].name}: {self._stop_rule}.{most} Is it the right file, format, mapping? "
                "Mend it and go on (--resume); HUB_IMPORTS__STOP_SHARE=1 imports them as dead letters all the same",
            )
        for one in bad:
            if one.blob is not None:
                self._blobs.put_blob(one.blob)
        return made

    def _landed(self, sent: _Sent) -> Step:
        """Raises Unavailable, Refused."""
        self._outlet.wait(sent.shipment)
        dead = dropped = events = 0
        bad: list[Bad] = []
        for row, made in zip(sent.page.rows, sent.made, strict=True):
            if made.refusal is not None:
                dead += 1
                if len(bad) < SHOWN:
                    bad.append(Bad(row.name, made.refusal.reason, made.refusal.detail))
            elif made.events:
                events += made.events
            else:
                dropped += 1
        read = len(sent.made)
        return Step(sent.page.position, Counts(read, read - dead, dead, dropped, events), sent.page.done, bad)

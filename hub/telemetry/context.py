"""The W3C `traceparent`: read, judged, written. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

HEADER: Final = "traceparent"
"""Of HTTP, and of Kafka records."""
SAMPLED: Final = 0x01
MOST_CHARS: Final = 256
"""Of a version that is newer than ours, which may be longer."""
_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NONE: Final = "ff"
"""A version that is none."""


class Context(NamedTuple):
    """A place in a trace: whose span, and whether the trace is kept."""

    trace_id: int
    span_id: int
    sampled: bool

    def written(self) -> str:
        """As the header has it."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{SAMPLED if self.sampled else 0:02x}"


def read(value: str | bytes | None) -> Context | None:
    """What a header says; None: nothing that W3C Trace Context allows, and so as if it were not there."""
    if not value or len(value) > MOST_CHARS:
        return None
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    found = _FORM.fullmatch(text.strip())
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == _NONE or (version == "00" and more):
        return None
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id:
        return None
    return Context(trace_id, span_id, bool(int(flags, 16) & SAMPLED))


def kept(headers: Iterable[tuple[str, str | bytes | None]] | Mapping[str, str | bytes | None] | None) -> Context | None:
    """The context of a Kafka record that belongs to a trace which is kept; None: it does to none."""
    if not headers:
        return None
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        if name == HEADER:
            context = read(value)
            return context if context is not None and context.sampled else None
    return None


def header(context: Context) -> tuple[str, bytes]:
    """As Kafka carries it."""
    return HEADER, context.written().encode()

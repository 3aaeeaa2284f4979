"""`traceparent` as W3C has it; which traces are kept; that nobody waits for an endpoint that is away."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from hub.settings import Telemetry
from hub.stack import ports
from hub.telemetry.context import Context, header, kept, read
from hub.telemetry.export import MOST, Queue
from hub.telemetry.metrics import DROPPED
from hub.telemetry.outgoing import BATCH, going, headers_of
from hub.telemetry.sampling import Decision, Sampler
from hub.telemetry.start import endpoint, opened
from hub.telemetry.tracing import KIND

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ASKED = Context(int(TRACE, 16), int(SPAN, 16), sampled=True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"00-{TRACE}-{SPAN}-01", ASKED),
        (f"00-{TRACE}-{SPAN}-00", ASKED._replace(sampled=False)),
        (f"00-{TRACE}-{SPAN}-03", ASKED),  # a flag that came later
        (f"01-{TRACE}-{SPAN}-01-more", ASKED),  # a version that came later
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"01-{TRACE}-{SPAN}-01-{'x' * 1_000}", None),
        ("", None),
        (None, None),
        (b"\xff\x00", None),
    ],
)
def test_what_a_header_says(text: str | bytes | None, found: Context | None) -> None:
    assert read(text) == found
    assert kept([("traceparent", text)]) == (found if found is not None and found.sampled else None)


def test_a_context_is_read_as_it_was_written() -> None:
    name, value = header(ASKED)
    assert (name, read(value), read(ASKED._replace(sampled=False).written())) == (
        "traceparent",
        ASKED,
        ASKED._replace(sampled=False),
    )
    assert kept(None) is None
    assert kept({"traceparent": value}) == ASKED


def test_senders_get_so_many_traces_a_second_and_then_a_share() -> None:
    now = [0.0]
    sampler = Sampler(0.0, 10, clock=lambda: now[0], dice=lambda: 0.5)
    assert [sampler.decide(ASKED).keeps for _ in range(12)].count(True) == 10
    now[0] = 1.0
    assert sampler.decide(ASKED) == Decision(True, ASKED)
    assert sampler.decide(ASKED._replace(sampled=False)).keeps is False
    assert sampler.decide(None) == Decision(False, None)
    some = Sampler(0.6, 0, dice=lambda: 0.5)
    assert some.decide(ASKED) == Decision(True, None)  # what they say is not looked at
    assert some.decide(ASKED._replace(sampled=False)).keeps is True


class Stuck(SpanExporter):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.go.wait()
        return SpanExportResult.SUCCESS


def test_spans_that_find_no_room_are_counted_and_nobody_waits() -> None:
    before = DROPPED.labels("full")._value.get()
    exporter = Stuck()
    queue = Queue(exporter, every_s=0.01)
    span = ReadableSpan("s")
    queue.on_end(span)
    assert exporter.asked.wait(30)
    for _ in range(MOST + 7):
        queue.on_end(span)  # would block here
    exporter.go.set()
    queue.shutdown()
    assert DROPPED.labels("full")._value.get() - before == 7


def test_an_endpoint_that_is_away_costs_spans_and_nothing_else() -> None:
    before = DROPPED.labels("failed")._value.get()
    with opened(Telemetry(endpoint=f"http://127.0.0.1:{ports.free_port()}"), "test", "hub") as tracing:
        assert tracing is not None
        tracing.start("s", KIND.INTERNAL, None).end()
    assert DROPPED.labels("failed")._value.get() - before == 1


def test_what_is_off_is_not_imported() -> None:
    """Nor anything that it needs; `test_loaded.py` looks at the rest of a process."""
    script = (
        "import sys\n"
        "from hub.settings import Telemetry\n"
        "from hub.telemetry.start import opened\n"
        "with opened(Telemetry(), 'api', 'hub') as tracing: assert tracing is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.exporter')]\n"
        "assert not {'hub.telemetry.tracing', 'hub.telemetry.export', 'hub.telemetry.edge'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_request_says_the_trace_of_its_event_or_of_its_batch() -> None:
    assert headers_of(["a"]) == {}
    token = going.set({"a": "trace of a", BATCH: "trace of the batch"})
    try:
        assert headers_of(["a"]) == {"traceparent": "trace of a"}
        assert headers_of(["b"]) == {}
        assert headers_of(["a", "b"]) == {"traceparent": "trace of the batch"}
        assert headers_of(["b", "c"]) == {}
    finally:
        going.reset(token)


@pytest.mark.parametrize("url", ["http://o:4318", "http://o:4318/", "http://o:4318/v1/traces"])
def test_the_path_of_traces_is_appended_once(url: str) -> None:
    assert endpoint(url) == "http://o:4318/v1/traces"

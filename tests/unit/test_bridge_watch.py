"""What a bridge's status says of its rate."""

from __future__ import annotations

from bridges.base import Part
from bridges.state import Watch
from schemas.bridges import Status


class Bench:
    """A Watch whose clock is moved by hand."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.watch = Watch(Status(bridge="watched", kind="kafka", version=1), lambda: self.now_ms)

    def second(self, messages: int) -> float:
        """A second in which so many are forwarded; the rate at its end."""
        self.now_ms += 1_000
        self.watch.taken(messages, messages, None)
        self.watch.acknowledged(messages, 0)
        self.watch.look(3, [Part("q/0", 3, "q/0/7")])
        return self.watch.status.rate


def test_the_rate_is_of_the_last_ten_seconds() -> None:
    bench = Bench()
    assert bench.second(100) == 100
    assert [bench.second(100) for _ in range(20)][-1] == 100
    assert bench.second(1_200) == 210
    quiet = [bench.second(0) for _ in range(12)]
    assert quiet[0] == 200
    assert quiet[-1] == 0


def test_a_long_silence_does_not_spoil_what_follows() -> None:
    bench = Bench()
    bench.second(10)
    for _ in range(100):
        bench.second(0)
    assert bench.second(50) == 50


def test_the_parts_are_what_the_bridge_says() -> None:
    bench = Bench()
    bench.second(1)
    status = bench.watch.status
    assert (status.lag, [(part.name, part.position) for part in status.parts]) == (3, [("q/0", "q/0/7")])
    bench.watch.look(None, [])
    assert (status.lag, status.parts) == (None, [])


def test_what_has_failed_stays_failed_while_it_is_tried_again() -> None:
    bench = Bench()
    watch, status = bench.watch, bench.watch.status
    watch.begin()
    assert (status.state, status.since_ms) == ("starting", 1_000_000)
    for _ in range(3):
        bench.now_ms += 1_000
        watch.failed("nobody listens there", 1.0)
        watch.begin()
        assert (status.state, status.since_ms) == ("failed", 1_001_000)
    assert status.last_error_ms == 1_003_000
    watch.enter("running")
    watch.begin()
    assert status.state == "starting"

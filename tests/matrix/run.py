"""One broker of the matrix: load, all faults in turn, and what has come of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.matrix import brokers
from tests.matrix.brokers import OTHER_PASSWORD, PASSWORD, Broker
from tests.matrix.hub import Hub
from tests.matrix.link import Link, link
from tests.matrix.load import Load
from tests.matrix.store import Figures, Reader, Tally, judged

FAULTS: Final = {
    "bridge": "SIGKILL of the bridge process at random moments, started again at once",
    "broker": "SIGKILL of the broker, started again after 0.5 to 2 s",
    "kafka": "SIGKILL of our Kafka, started again after 0.5 to 2 s",
    "cut": "every connection between bridge and broker is reset, and every new one",
    "silence": "connections between bridge and broker stay, and nothing moves on them",
    "credential": "the password of the bridge's user is changed, its connections are reset; 5 s after the bridge has "
    "said that it is not let in, the old one is given back",
    "queue": "when it is empty, the queue is deleted and made again 1 to 3 s later",
}
AFTERWARDS: Final = "afterwards"
"""Of what is sent when all is over, until there are enough messages."""
SHARE_OF_KILLS: Final = 7
"""A server is killed once for so many kills of the bridge: it takes seconds to start."""
LOCKED_OUT_S: Final = 5.0
SETTLE_S: Final = 240.0
LOOK_S: Final = 0.1


class Options(NamedTuple):
    """Attributes: faults: of FAULTS. messages: at least so many. rate: a second. cut_s: how long a link is cut."""

    seed: int = 1
    kills: int = 20
    messages: int = 20_000
    rate: int = 200
    cut_s: float = 30.0
    faults: Sequence[str] = tuple(FAULTS)


class Result(NamedTuple):
    """
    Of one broker.

    Attributes:
        figures: By fault.
        not_done: Faults that were not tried, and why.
        in_order: Whether the broker promises an order.
        given_up: Messages that the broker did not confirm and the load did not send again.
        troubles: What else was not as it should be.
    """

    name: str
    product: str
    notes: str
    options: Options
    seconds: float
    figures: Mapping[str, Figures]
    not_done: Mapping[str, str]
    in_order: bool
    given_up: int
    troubles: Sequence[str]

    @property
    def good(self) -> bool:
        """Whether everything that is promised was kept."""
        figures = self.figures.values()
        return not self.troubles and not any((each.lost, each.doubled, each.reordered) != (0, 0, 0) for each in figures)


def run(name: str, options: Options, folder: Path, say: Callable[[str], None]) -> Result:
    """
    Args: name: one of brokers.NAMES. folder: empty; logs stay there.

    Raises: Unavailable, AssertionError: something does not start.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        way = stack.enter_context(link())
        broker = brokers.make(name, folder / "broker", way)
        stack.callback(broker.stop)
        port = broker.start()
        broker.set_password(PASSWORD)
        broker.make()
        way.lead(port)
        product = broker.product
        hub = Hub(folder / "hub", {"type": broker.kind, "settings": dict(broker.settings)}, brokers.variables())
        stack.callback(hub.stop)
        hub.until_state("running")
        load = Load(broker.sender, options.rate)
        load.start()
        stack.callback(load.stop)
        reader = stack.enter_context(closing(Reader(hub.store)))
        trial = Trial(broker, way, hub, load, Tally(reader, load.confirmed), options, say)
        for fault in options.faults:
            if fault not in broker.not_done:
                trial.do(fault)
        trial.go_on()
        troubles = [*trial.troubles, *trial.audit(reader)]
    found = judged(load.confirmed, reader.times, reader.order, in_order=broker.in_order)
    if "given up" in found:
        troubles.append(f"{found.pop('given up').doubled} messages that were given up are stored twice")
    figures = {
        phase: found[phase]._replace(times=trial.times.get(phase, 0), lag_s=round(trial.tally.longest_s[phase], 1))
        for phase in (*FAULTS, AFTERWARDS)
        if phase in found
    }
    not_done = {fault: why for fault, why in broker.not_done.items() if fault in options.faults}
    took = round(time.monotonic() - began, 1)
    return Result(
        name, product, broker.notes, options, took, figures, not_done, broker.in_order, load.given_up, troubles
    )


class Trial:
    """
    Does the faults.

    Attributes:
        times: How often each was done.
        troubles: What was not as it should be.
    """

    def __init__(
        self,
        broker: Broker,
        way: Link,
        hub: Hub,
        load: Load,
        tally: Tally,
        options: Options,
        say: Callable[[str], None],
    ) -> None:
        """All of them run; the load is held."""
        self.tally = tally
        self.times: dict[str, int] = {}
        self.troubles: list[str] = []
        self._broker, self._link, self._hub, self._load = broker, way, hub, load
        self._options, self._say = options, say
        self._dice = random.Random(f"{options.seed}/{broker.settings}")

    def do(self, fault: str) -> None:
        """One kind, as often as the options say; then all is quiet, and has come."""
        kills = self._options.kills
        servers = max(1, kills // SHARE_OF_KILLS)
        times = {"bridge": kills, "broker": servers, "kafka": servers}.get(fault, 1)
        self.times[fault] = times
        act: Callable[[], float] = getattr(self, f"_do_{fault}")
        with self._phase(fault):
            for _ in range(times):
                self._pass(self._dice.uniform(0.5, 4.0))
                over, before = act(), len(self._load.confirmed)
                self._until_more_than(before)
                self.tally.mark(fault, over)
                if fault != "bridge":  # the next kill may well come before all that was waiting has come
                    self._until(self.tally.caught_up, f"{fault}: what waited has not come")
        self._say(f"{fault} x {times}: {self.tally.longest_s[fault]:.1f} s until the lag was 0")

    def go_on(self) -> None:
        """Until there are as many messages as the options say."""
        if len(self._load.confirmed) >= self._options.messages:
            return
        with self._phase(AFTERWARDS):
            self._until(lambda: len(self._load.confirmed) >= self._options.messages, "the load ends before its time")

    def audit(self, reader: Reader) -> Iterator[str]:
        """What is wrong with the whole."""
        otherwise = reader.counted_otherwise()
        if otherwise:
            yield f"{len(otherwise)} profiles have counted another number of events than are stored"
        letters = reader.dead_letters()
        if letters:
            yield f"{len(letters)} dead letters, the first: {letters[0]}"
        unsent = reader.times.keys() - self._load.attempted
        if unsent:
            yield f"{len(unsent)} events that nobody has sent"
        for name in ("bridges", "collector"):
            ended = getattr(self._hub, name).ended
            if ended:
                yield f"hub {name} has ended by itself {ended} times"

    @contextmanager
    def _phase(self, fault: str) -> Iterator[None]:
        self._load.phase = fault
        self._load.go()
        try:
            yield
        except AssertionError as exc:
            self._trouble(f"{fault}: {exc}")
        try:
            self._load.hold(SETTLE_S)
        except AssertionError as exc:
            self._trouble(f"{fault}: {exc}")
        self._until(
            lambda: self.tally.look() and self._idle(), f"{fault}: the lag is not 0 when nothing is sent any more"
        )

    def _idle(self) -> bool:
        status = self._hub.status()
        return status["state"] == "running" and not status["lag"] and not status["in_flight"]

    # each returns when the fault was over, with load going on

    def _do_bridge(self) -> float:
        self._hub.bridges.kill()
        return time.monotonic()

    def _do_broker(self) -> float:
        self._broker.kill()
        self._pass(self._dice.uniform(0.5, 2.0))
        self._broker.start()
        return time.monotonic()

    def _do_kafka(self) -> float:
        self._hub.kafka.kill()
        self._pass(self._dice.uniform(0.5, 2.0))
        self._hub.kafka.start()
        return time.monotonic()

    def _do_cut(self) -> float:
        self._link.cut()
        self._pass(self._options.cut_s)
        self._link.heal()
        return time.monotonic()

    def _do_silence(self) -> float:
        self._link.stall()
        self._pass(self._options.cut_s)
        self._link.heal()
        return time.monotonic()

    def _do_credential(self) -> float:
        if not self._broker.keeps_for_locked_out:
            self._drain()
        self._broker.set_password(OTHER_PASSWORD)
        self._link.drop()
        try:
            self._hub.until_state("failed")
            self._pass(LOCKED_OUT_S)
        finally:
            self._broker.set_password(PASSWORD)
        over = time.monotonic()
        if not self._broker.keeps_for_locked_out:
            self._hub.until_state("running")
            self._load.go()
        return over

    def _do_queue(self) -> float:
        self._drain()
        self._broker.delete()
        self._pass(self._dice.uniform(1.0, 3.0))
        self._broker.make()
        over = time.monotonic()
        if self._broker.queue_is_the_bridge:
            self._hub.until_state("running")
        self._load.go()
        return over

    def _drain(self) -> None:
        self._load.hold(SETTLE_S)
        self._until(lambda: self.tally.look() and self._idle(), "the queue does not become empty")

    def _pass(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._hub.keep()
            self.tally.look()
            time.sleep(LOOK_S)

    def _until(self, reached: Callable[[], bool], words: str) -> None:
        deadline = time.monotonic() + SETTLE_S
        while True:
            self._hub.keep()
            self.tally.look()
            if reached():
                return
            if time.monotonic() > deadline:
                self._trouble(f"{words} after {SETTLE_S:g} s: {self.tally.missing()} missing; {self._hub.status()}")
                return
            time.sleep(LOOK_S)

    def _until_more_than(self, before: int) -> None:
        """So that something waits that was sent after the fault."""
        self._until(lambda: len(self._load.confirmed) > before, "the broker confirms nothing")

    def _trouble(self, words: str) -> None:
        self._say(f"TROUBLE {words}")
        self.troubles.append(words)

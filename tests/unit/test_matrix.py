"""The kill matrix finds what it is for: messages that are lost, doubled, out of order, late."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.matrix import page
from tests.matrix.load import Load, Message, Send
from tests.matrix.run import Options, Result
from tests.matrix.store import Figures, Reader, Tally, judged
from tests.waiting import wait_for


def message(number: int, phase: str = "cut", profile: str = "p") -> Message:
    return Message(profile, number, f"{profile}-{number}", True, phase)


def test_what_is_lost_doubled_and_out_of_order_counts_for_the_fault_that_it_was_sent_under() -> None:
    sent = [message(1), message(2), message(3, "kafka"), message(4, "kafka"), message(5, "queue"), message(6, "queue")]
    order = [1, 3, 2, 4, 4, 4, 6]
    times = Counter({("p", number): order.count(number) for number in set(order)})
    assert judged(sent, times, {"p": order}, in_order=True) == {
        "cut": Figures(messages=2, reordered=1),
        "kafka": Figures(messages=2, doubled=2),
        "queue": Figures(messages=2, lost=1),
    }
    assert judged(sent, times, {"p": order}, in_order=False)["cut"].reordered == 0


def test_nothing_is_promised_of_what_was_not_confirmed_but_that_it_is_not_doubled() -> None:
    sent = [message(1), message(3)]
    times = Counter({("p", 1): 1, ("p", 3): 1, ("p", 2): 1})
    assert judged(sent, times, {"p": [1, 3, 2]}, in_order=True) == {"cut": Figures(messages=2)}
    times["p", 2] = 2
    assert judged(sent, times, {"p": [1, 3, 2, 2]}, in_order=True)["given up"] == Figures(doubled=1)


class Store:
    """The tables that are read, as the collector would fill them."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for month in ("2026_11", "2026_12"):
            table = f"events_{month}"
            self._connection.execute(f"CREATE TABLE {table} (seq INTEGER PRIMARY KEY, profile_id TEXT, doc TEXT)")
        self._connection.execute("CREATE TABLE profiles (id TEXT, doc TEXT)")
        self._connection.execute("CREATE TABLE dead_letters (reason TEXT)")

    def add(self, numbers: Sequence[int], month: str = "2026_11") -> None:
        rows = [("p", f'{{"properties": {{"n": {number}}}}}') for number in numbers]
        self._connection.executemany(f"INSERT INTO events_{month} (profile_id, doc) VALUES (?, ?)", rows)

    def count(self, events: int) -> None:
        self._connection.execute("DELETE FROM profiles")
        self._connection.execute("INSERT INTO profiles VALUES ('p', ?)", (f'{{"stats": {{"events": {events}}}}}',))


def test_the_store_is_read_as_it_grows_and_marks_fall_when_all_of_before_has_come(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub.sqlite")
    reader = Reader(tmp_path / "hub.sqlite")
    confirmed = [message(1), message(2)]
    tally = Tally(reader, confirmed)
    tally.mark("cut", time.monotonic())
    confirmed.append(message(3))
    store.add([2])
    assert not tally.look()
    assert (tally.caught_up(), tally.missing()) == (False, 2)
    store.add([1], "2026_12")
    assert not tally.look()
    assert tally.caught_up()
    assert tally.longest_s["cut"] > 0
    store.add([3, 3])
    assert tally.look()
    assert (tally.missing(), reader.times["p", 3]) == (0, 2)
    store.count(3)
    assert reader.counted_otherwise() == ["p"]
    store.count(4)
    assert reader.counted_otherwise() == []
    reader.close()


class Broker:
    """Takes what it is sent; every third time it breaks off in the middle."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.calls = 0

    @contextmanager
    def connect(self) -> Iterator[Send]:
        yield self.send

    def send(self, messages: Sequence[Message]) -> None:
        self.calls += 1
        if self.calls % 3 == 2:
            self.taken += messages[: len(messages) // 2]
            raise ConnectionError("half of it")
        self.taken += messages


def test_the_load_sends_named_messages_again_and_gives_up_the_others() -> None:
    broker = Broker()
    load = Load(broker.connect, rate=200)
    load.phase = "cut"
    load.start()
    load.go()
    wait_for("some calls have failed", lambda: broker.calls > 8)
    load.hold(30)
    load.stop()
    confirmed = {each.id for each in load.confirmed}
    named = {each.id for each in broker.taken if each.named}
    assert named <= confirmed, "each was sent again until it was confirmed"
    assert len(load.confirmed) == len(confirmed)
    assert load.given_up > 0
    assert load.given_up + len(confirmed) == len(load.attempted)
    # a profile's next message is not sent before the last one is confirmed, or given up
    for profile in {each.profile for each in load.confirmed}:
        first_seen = list(dict.fromkeys(each.number for each in broker.taken if each.profile == profile))
        assert first_seen == sorted(first_seen)


def test_a_new_run_replaces_only_its_own_broker_on_the_page(tmp_path: Path) -> None:
    conditions = {"date": "2026-12-01 10:00 UTC", "commit": "abc", "machine": "2 cores"}
    for name, lost in (("nats", 0), ("kafka", 3), ("kafka", 0), ("sqs", 2)):
        figures = {"cut": Figures(1234, 1, lost, 0, 0, 1.26)}
        result = Result(name, f"{name} 1", "", Options(), 60.0, figures, {}, name != "sqs", 0, [])
        page.write([result], "cmd", conditions, tmp_path)
    text = (tmp_path / page.PAGE).read_text()
    assert text.index("### kafka") < text.index("### nats") < text.index("### sqs")
    assert text.count("| cut | 1,234 | 1 | 0 | 0 | 0 | 1.3 s |") == 2
    assert "| cut | 1,234 | 1 | 2 | 0 | - | 1.3 s |" in text
    assert text.count("**promises broken**") == 1

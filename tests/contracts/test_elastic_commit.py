"""A batch in a search engine is there whole or not at all, whoever dies, is late or was quicker."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hub.errors import Fenced, Unavailable
from hub.model import (
    Alias,
    Ask,
    Batch,
    Claim,
    Claimed,
    CounterKey,
    Counts,
    EventKey,
    Person,
    Position,
    Privacy,
    Void,
    Wanted,
)
from hub.store.elastic import ElasticStore, apply, write
from hub.store.elastic.client import BULK_BYTES, Action, Engine, Result
from hub.store.elastic.indices import BATCHES, PROFILES, ROWS, events_index
from tests.contracts.batches import NOW_MS, batch, event, letter, profile, session, whole
from tests.contracts.elastic_process import EVENTS, POINTS, Point
from tests.contracts.test_store_identity import entry, identity
from tests.plain_http import NO_TLS
from tests.servers.running import own
from tests.waiting import wait_for

ALWAYS = (-(1 << 40), 1 << 40)
IDS = [f"e{n}" for n in range(3 * EVENTS)]
MONTHS = ("2025-11", "2025-10", "2025-09")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the first one on a machine waits for the jars


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not go on in these tests is dead."""
    monkeypatch.setattr(write, "PATIENCE_S", 0.05)


@pytest.fixture
def opened(elastic: ElasticStore, search_engine: str) -> Iterator[Callable[[], ElasticStore]]:
    """More objects on the same namespace, as other processes have them."""
    others: list[ElasticStore] = []

    def open_one() -> ElasticStore:
        others.append(ElasticStore(search_engine, elastic._engine.namespace))
        return others[-1]

    yield open_one
    for one in others:
        one.close()


def content(store: ElasticStore) -> dict[str, Any]:
    """All that there is of batches of `whole`."""
    wanted = Wanted([f"p{n}" for n in range(EVENTS)], ["s1"], [EventKey(id, MONTHS) for id in IDS])
    known = store.known(wanted)
    return {
        "known": known,
        "events": store.outcomes([(id, month) for id in known.events for month in MONTHS]),
        "progress": store.progress(1),
        "books": store.books(*ALWAYS, count_events=True),
        "counters": list(store.counters()),
        "written": [store.written_at(Position(1, 0, n * EVENTS, 0)) for n in range(3)],
        "letters": sorted(store._engine.many("dead-letters", ["d0", "d1", "d2"])),
        "pending": store._head.read().pending,
    }


@contextmanager
def cut_off(engine: Engine, request: int, lines: int | None = 0) -> Iterator[list[Action]]:
    """
    Within the block the cluster is away from this request on, of which only some lines arrive (None: all of them, and
    only the answer is lost). Gives what is not sent.
    """
    send, requests = engine.results, 0
    left: list[Action] = []

    def results(actions: Iterable[Action], *, in_order: bool = True) -> list[Result | None]:
        nonlocal requests
        requests += 1
        if requests < request:
            return send(actions, in_order=in_order)
        if requests == request:
            every = list(actions)
            send(every[:lines])
            left.extend(every[len(every) if lines is None else lines :])
        raise Unavailable("store", "the cable is cut")

    engine.results = results  # type: ignore[method-assign]
    try:
        yield left
    finally:
        engine.results = send  # type: ignore[method-assign]


@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_is_killed_leaves_all_of_its_batch_or_nothing(
    elastic: ElasticStore, search_engine: str, opened: Callable[[], ElasticStore], point: Point
) -> None:
    elastic.write(whole(0, EVENTS), at_ms=1_000)
    before = content(elastic)
    line = [sys.executable, "-m", "tests.contracts.elastic_process", search_engine, elastic._engine.namespace, point]
    died = subprocess.run(line, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False, timeout=120)
    assert died.returncode == -9, died.stderr
    after = opened()
    if after.progress(1) == {0: EVENTS}:
        assert point in ("before", "journal")
        assert content(after) == before
        after.write(whole(1, EVENTS), at_ms=1_000)
    else:
        assert point not in ("before", "journal")
    found = content(after)
    assert (found["progress"], found["pending"]) == ({0: 2 * EVENTS}, [])
    assert found["books"].stored_events == found["books"].totals["shop"].stored == 2 * EVENTS
    assert {len(found["known"].events), len(found["events"])} == {2 * EVENTS}
    assert {one.version for one in found["known"].profiles.values()} == {2}
    assert found["known"].sessions["s1"].version == 2
    assert found["letters"] == ["d0", "d1"]
    assert found["written"] == [1_000, 1_000, None]
    with pytest.raises(Fenced):
        elastic.write(whole(0, EVENTS), at_ms=1_000)
    assert content(after) == found


@pytest.mark.parametrize(("number", "lines"), [(1, 0), (1, None), (2, 0), (2, 25), (2, None), (3, 0), (3, None)])
def test_a_batch_that_is_given_again_is_written_once(elastic: ElasticStore, number: int, lines: int | None) -> None:
    """Wherever the answer was lost; what is relative, such as counters and attempts, as well."""
    elastic.claim([Claim("x", "email", "p0", "e0", NOW_MS)])
    elastic.write(batch(letter("d9")))
    one = whole(0, EVENTS)
    one = msgspec.structs.replace(one, failed_again=[letter("d9")], identity=identity(uses={"x": 3}))
    with cut_off(elastic._engine, number, lines), pytest.raises(Unavailable, match="cable"):
        elastic.write(one, at_ms=1_000)
    assert elastic.write(one, at_ms=1_000) == []
    assert elastic.write(one, at_ms=1_000) == []
    found = content(elastic)
    assert found["books"].totals == {"shop": Counts(received=EVENTS, stored=EVENTS)}
    assert (found["books"].stored_events, found["pending"]) == (EVENTS, [])
    assert elastic.identifier_uses(["x"]) == {"x": Claimed("p0", 3)}
    attempts = elastic._engine.many("dead-letters", ["d9"])["d9"].source["doc"]
    assert msgspec.json.decode(attempts)["attempts"] == 2


def test_a_batch_that_somebody_else_has_finished_is_not_refused(
    elastic: ElasticStore, opened: Callable[[], ElasticStore]
) -> None:
    """The writer was cut off for so long that another one, of another partition, saw to it."""
    one = whole(0, EVENTS)
    with cut_off(elastic._engine, 2), pytest.raises(Unavailable):
        elastic.write(one)
    opened().progress(1)
    assert elastic.write(one) == []
    assert content(elastic)["books"].stored_events == EVENTS


def test_what_comes_late_changes_nothing(elastic: ElasticStore, opened: Callable[[], ElasticStore]) -> None:
    """A writer is held up in the midst of its batch; others finish that, go on, merge and remove; then it goes on."""
    zombie, other = elastic, opened()
    zombie.write(batch(profile("old", 3), session("s9", 3, "old")))
    late = batch(
        *whole(0, EVENTS).events,
        profile("p0", 1),
        profile("p1", 1),
        profile("old", 7, city="Bonn"),
        session("s9", 4, "old"),
        session("s1", 1, "p0"),
        letter("d0"),
        progress={0: (0, EVENTS)},
        counters={CounterKey(1, 0, "shop", 1): Counts(received=EVENTS, stored=EVENTS)},
    )
    with cut_off(zombie._engine, 2) as held_up, pytest.raises(Unavailable):
        zombie.write(late, at_ms=1_000)
    entry = zombie._head.read().pending[0]
    assert other.progress(1) == {0: EVENTS}
    merged = identity(aliases={"p1": Alias("p0", 1, "m1"), "old": Alias("p0", 7, "m2")}, taken=["s9"])
    step = {0: (EVENTS, EVENTS + 1)}
    other.write(
        msgspec.structs.replace(batch(session("s9", 1, "p0"), profile("p0", 2), progress=step), identity=merged)
    )
    step = {0: (EVENTS + 1, EVENTS + 2)}
    restored = identity(restored=["old"])
    other.write(msgspec.structs.replace(batch(profile("old", 1, city="Rome"), progress=step), identity=restored))
    gone = next(one for one in late.events if one.partition == MONTHS[0])
    number = other._head.read().number
    other._engine.put(events_index(gone.partition), gone.id, {"gone": True, "at": number})
    before = content(other), other._engine.many(PROFILES, ["p0", "p1", "old"])

    zombie._engine.results(held_up)
    zombie._applying.apply(late, entry)
    other._applying.apply(late, entry)
    assert (content(other), other._engine.many(PROFILES, ["p0", "p1", "old"])) == before
    known = other.known(Wanted(["old", "p1"], ["s9"], [EventKey(gone.id, MONTHS)]))
    assert known.profiles["old"].doc["traits"] == {"city": "Rome"}
    assert (set(known.aliases), known.sessions["s9"].profile_id, known.events) == ({"p1"}, "p0", {})
    with pytest.raises(Fenced):
        zombie.write(late, at_ms=1_000)


def test_what_others_have_written_meanwhile_is_looked_at(
    elastic: ElasticStore, opened: Callable[[], ElasticStore]
) -> None:
    """A writer knows what it wrote itself; others may have had the partition since, and made the profile anew."""
    elastic.write(batch(profile("p", 9), session("s", 9, "p")))
    other = opened()
    other.write(msgspec.structs.replace(batch(), identity=identity(aliases={"p": Alias("q", 9, "m1")})))
    taken = identity(restored=["p"], taken=["s"])
    other.write(msgspec.structs.replace(batch(profile("p", 2), session("s", 1, "q")), identity=taken))
    assert elastic.write(batch(profile("p", 3, city="Rome"), session("s", 2, "q"))) == []
    known = elastic.known(Wanted(["p"], ["s"], []))
    assert (known.profiles["p"].version, known.sessions["s"].version) == (3, 2)
    assert elastic.write(batch(session("s", 99, "p"))) == ["s"]


def test_who_takes_very_long_leaves_what_others_have_done(
    elastic: ElasticStore, opened: Callable[[], ElasticStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if nothing tells any more that something was removed."""
    one = batch(*whole(0, EVENTS).events, profile("p0"), session("s1", 1, "p0"))
    with cut_off(elastic._engine, 2), pytest.raises(Unavailable):
        elastic.write(one)
    entry = elastic._head.read().pending[0]
    other = opened()
    other.progress(1)
    other._engine.delete(PROFILES, "p0")
    monkeypatch.setattr(apply, "LATE_S", 0)
    assert elastic._applying.apply(one, entry) is None
    assert elastic.known(Wanted(["p0"], [], [])).profiles == {}


def test_of_two_who_write_one_partition_one_wins(elastic: ElasticStore, opened: Callable[[], ElasticStore]) -> None:
    """At the same time, again and again; the other one is told, and has written nothing."""
    writers = [elastic, opened()]
    won: list[str] = []
    lost: list[str] = []
    start = threading.Barrier(2)

    def write_on(store: ElasticStore, name: str) -> None:
        for n in range(15):
            start.wait()
            try:
                counters = {CounterKey(1, 0, name, 1): Counts(received=1, stored=1)}
                store.write(
                    batch(
                        event(f"{name}{n}"), profile("p", n + 1, by=name), progress={0: (n, n + 1)}, counters=counters
                    )
                )
                won.append(f"{name}{n}")
            except Fenced:
                lost.append(f"{name}{n}")
            start.wait()

    threads = [threading.Thread(target=write_on, args=one) for one in zip(writers, "ab", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one[1:] for one in won) == sorted(str(n) for n in range(15))
    known = elastic.known(Wanted(["p"], [], [EventKey(id, MONTHS) for id in (*won, *lost)]))
    assert set(known.events) == set(won)
    assert known.profiles["p"].doc["traits"] == {"by": max(won, key=lambda one: int(one[1:]))[0]}
    books = elastic.books(*ALWAYS, count_events=True)
    assert sum(counts.stored for counts in books.totals.values()) == books.stored_events == 15


def test_writers_of_different_partitions_go_on_side_by_side(
    elastic: ElasticStore, opened: Callable[[], ElasticStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they share, such as how often an identifier was used, adds up."""
    monkeypatch.setattr(write, "PATIENCE_S", 20)
    elastic.claim([Claim("x", "email", "p", "e", NOW_MS)])

    def write_on(store: ElasticStore, partition: int) -> None:
        for n in range(10):
            one = batch(
                event(f"e{partition}-{n}"),
                session("s", n + 1, f"p{partition}"),
                letter(f"d{partition}-{n}"),
                progress={partition: (n, n + 1)},
                counters={CounterKey(1, partition, "shop", 1): Counts(received=1, stored=1)},
            )
            store.write(msgspec.structs.replace(one, identity=identity(uses={"x": 1})))

    threads = [
        threading.Thread(target=write_on, args=(store, n)) for n, store in enumerate([elastic, opened(), opened()])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert elastic.identifier_uses(["x"]) == {"x": Claimed("p", 30)}
    books = elastic.books(*ALWAYS, count_events=True)
    assert (books.totals, books.stored_events) == ({"shop": Counts(received=30, stored=30)}, 30)
    assert elastic.progress(1) == {0: 10, 1: 10, 2: 10}


@pytest.mark.parametrize("block", ["write", "read_only_allow_delete"])
@pytest.mark.parametrize("name", [BATCHES, PROFILES])
def test_a_cluster_that_lets_nobody_write_loses_nothing(
    elastic: ElasticStore, search_engine: str, block: str, name: str
) -> None:
    """As on a full disk: it says so, and goes on when it lets us again."""
    elastic.write(whole(0, EVENTS))
    url = f"{search_engine.removeprefix('elasticsearch+')}{elastic._engine.index(name)}/_settings"

    def set_block(value: bool | None) -> None:
        httpx.put(url, json={f"index.blocks.{block}": value}, timeout=60, verify=NO_TLS).raise_for_status()

    set_block(True)
    with pytest.raises(Unavailable, match="lets nobody write"):
        elastic.write(whole(1, EVENTS))
    assert elastic.known(Wanted(["p1"], [], [])).profiles["p1"].version == 1
    set_block(None)
    elastic.write(whole(1, EVENTS))
    elastic.write(whole(2, EVENTS))
    found = content(elastic)
    assert found["books"].stored_events == found["books"].totals["shop"].stored == 3 * EVENTS
    assert {one.version for one in found["known"].profiles.values()} == {3}


@pytest.mark.parametrize("number", range(2, 7))
@pytest.mark.parametrize("lines", [0, 2, None])
def test_an_erasure_that_is_cut_off_is_carried_out_once(
    elastic: ElasticStore, opened: Callable[[], ElasticStore], number: int, lines: int | None
) -> None:
    """At each of its steps; another one sees to the rest, and the order says how many were removed by both."""
    elastic.claim([Claim("x", "email", "ann", "e", NOW_MS), Claim("y", "email", "dan", "e", NOW_MS)])
    people = [profile("ann"), profile("bob"), profile("dan")]
    held = [session("s1", 3, "ann"), session("s2", 3, "bob"), session("s3", 3, "dan")]
    merges = [entry("m1", "ann", "bob"), entry("m2", "dan", "eve")]
    asks = [Ask("k1", "ann", "dan")]
    stored = identity(merges=merges, asks=asks, aliases={"old": Alias("ann", 1, "m0")})
    elastic.write(msgspec.structs.replace(batch(*people, *held), identity=stored))
    erasure = msgspec.structs.replace(
        batch(progress={0: (0, 1)}),
        privacy=Privacy(
            id="o1",
            kind="erase",
            mark="m",
            at_ms=NOW_MS,
            reason="asked",
            is_suppressed=True,
            person=Person({"ann": 9, "bob": 9, "old": 9}, ["s1", "s2"], {"x": ("email", 1)}),
            shared=[],
            voids=[Void("m", 0, NOW_MS, "o1"), Void("n", 0, NOW_MS, "o1")],
            marks=[],
        ),
    )
    with cut_off(elastic._engine, number, lines), suppress(Unavailable):
        elastic.write(erasure)
    other = opened()
    assert other.progress(1) == {0: 1}
    assert elastic.write(erasure) == []
    order = other.order("o1")
    assert order is not None
    kinds = ("profiles", "sessions", "identifiers", "aliases", "merges")
    assert [order.removed[kind] for kind in kinds] == [2, 2, 1, 1, 1]
    known = other.known(Wanted(["ann", "bob", "old", "dan"], ["s1", "s2", "s3"], [], [], ["m1", "m2"]))
    assert (set(known.profiles), set(known.sessions), known.aliases, known.merges) == ({"dan"}, {"s3"}, {}, {"m2"})
    assert set(other.identifier_uses(["x", "y"])) == {"y"}
    assert other.asks(["k1"]) == {"k1": Ask("k1", "", "dan", "o1")}
    assert {mark: [void.until_ms for void in voids] for mark, voids in other.voids(["m", "n"]).items()} == {
        "m": [NOW_MS],
        "n": [NOW_MS],
    }
    assert (other.voiding(), [one.id for one in other.removals()]) == ((1, 0), ["o1"])


def test_parts_that_are_under_way_together_are_answered_in_their_order(elastic: ElasticStore) -> None:
    engine, text = elastic._engine, "x" * (BULK_BYTES // 3)
    there = [3, 11]
    assert not engine.bulk(Action("create", ROWS, f"r{n}", {"at": 1}) for n in there)
    ids = [f"r{n}" for n in range(16)]
    results = engine.results((Action("create", ROWS, id, {"at": 2, "text": text}) for id in ids), in_order=False)
    assert [n for n, one in enumerate(results) if one is None] == there
    found = engine.many(ROWS, ids, ["at"])
    for id, one in zip(ids, results, strict=True):
        assert (found[id].source["at"], one and one.seq_no) == ((1, None) if one is None else (2, found[id].seq_no))


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_cluster_that_is_busy_is_given_it_again(elastic: ElasticStore, search_engine: str, is_whole: bool) -> None:
    """Whether it refuses a whole bulk, or each of its lines."""
    with (
        busy(search_engine.removeprefix("elasticsearch+"), 4, is_whole=is_whole) as url,
        closing(ElasticStore(f"elasticsearch+{url}/", elastic._engine.namespace)) as store,
    ):
        store.write(whole(0, EVENTS))
        store.write(whole(1, EVENTS))
        found = content(store)
    assert found["books"].stored_events == found["books"].totals["shop"].stored == 2 * EVENTS
    assert {one.version for one in found["known"].profiles.values()} == {2}


@contextmanager
def busy(server: str, times: int, *, is_whole: bool) -> Iterator[str]:
    """In front of a real one: it has no room for so many bulks; all else it hands on. Gives its URL."""
    left = times

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            nonlocal left
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if "/_bulk" in self.path and left:
                left -= 1
                refused = {"type": "rejected_execution_exception", "reason": "the queue is full"}
                lines = [msgspec.json.decode(line) for line in body.splitlines()]
                ops = [next(iter(line)) for line in lines if line.keys() <= {"index", "create", "delete"} and line]
                items = [{op: {"status": 429, "error": refused}} for op in ops]
                status = 429 if is_whole else 200
                self.reply(status, {"error": refused, "status": 429} if is_whole else {"errors": True, "items": items})
                return
            headers = {name: self.headers[name] for name in ("accept", "content-type") if name in self.headers}
            given = httpx.request(
                self.command,
                f"{server}{self.path.lstrip('/')}",
                content=body,
                headers=headers,
                timeout=60,
                verify=NO_TLS,
            )
            self.reply(given.status_code, given.content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815 - as the server of the library calls them

        def reply(self, status: int, body: Any) -> None:
            content = body if isinstance(body, bytes) else msgspec.json.encode(body)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()
    assert left == 0


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_server_that_is_killed_while_it_is_written_to_loses_nothing(tmp_path: Path, namespace: str) -> None:
    """Killed and started again between two batches and within one, with what it had on disk."""
    with (
        own("opensearch", tmp_path / "server") as server,
        closing(ElasticStore(f"opensearch+{server.url}/", namespace)) as store,
    ):
        store.write(whole(0, EVENTS))
        with cut_off(store._engine, 2, 25), pytest.raises(Unavailable):
            store.write(whole(1, EVENTS))
        server.kill()
        with pytest.raises(Unavailable, match="does not answer"):
            store.write(whole(1, EVENTS))
        server.start()
        wait_until_written(store, whole(1, EVENTS))
        wait_until_written(store, whole(2, EVENTS))
        found = content(store)
    assert (found["progress"], found["pending"]) == ({0: 3 * EVENTS}, [])
    assert found["books"].stored_events == found["books"].totals["shop"].stored == 3 * EVENTS
    assert {one.version for one in found["known"].profiles.values()} == {3}


def wait_until_written(store: ElasticStore, one: Batch) -> None:
    """As the collector does: again while it is unavailable."""

    def is_written() -> bool:
        try:
            store.write(one)
        except Unavailable:
            return False
        return True

    wait_for("the batch is written", is_written, 90)

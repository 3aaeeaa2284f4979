"""What every store promises to the collector, the API and the bridges."""

from __future__ import annotations

import threading

import msgspec
import pytest

from hub.collector.definitions import CompiledDefinitions
from hub.definitions.catalogue import Catalogue
from hub.errors import Fenced, Refused
from hub.model import CounterKey, Counts, EventKey, Profile, Session, Wanted
from hub.store import Store, open_store
from hub.store.port import Kind
from hub.store.query import QueryError
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, letter, profile, session, whole
from tests.factories import event as made
from tests.factories import track
from tests.unit.hub_model import Hub

NOTHING = Wanted(profiles=[], sessions=[], events=[])
KINDS: list[Kind] = ["profiles", "events", "sessions", "dead-letters"]


def ids(store: Store, kind: Kind, query: str = "", size: int = 100) -> list[str]:
    return [document["id"] for document in store.search(kind, query, size, None).items]


def test_writing_twice_leaves_one_copy(store: Store) -> None:
    """A replayed batch (its progress rolled forward by hand) adds no document and changes none."""
    store.write(whole(0, 10))
    before = {kind: store.search(kind, "", 100, None) for kind in KINDS}
    again = whole(0, 10)
    store.write(msgspec.structs.replace(again, progress={}, counters={}))
    assert {kind: store.search(kind, "", 100, None) for kind in KINDS} == before
    assert [store.count(kind, "") for kind in KINDS] == [10, 10, 1, 1]


def test_the_first_content_of_an_event_stays(store: Store) -> None:
    """The same id with other content is a duplicate; the store never replaces what it has."""
    store.write(batch(event("e1", cds=1)))
    store.write(batch(event("e1", cds=2)))
    assert store.get("events", "e1")["properties"] == {"cds": 1}  # type: ignore[index]


@pytest.mark.parametrize("late", [1, 2])
def test_a_version_that_is_not_higher_changes_nothing(store: Store, late: int) -> None:
    """A zombie's late write, or a replay, of a profile or session is refused silently."""
    store.write(batch(profile("p1", 2, city="Rome"), session("s1", 2, page="new")))
    store.write(batch(profile("p1", late, city="Bonn"), session("s1", late, "p9", page="old")))
    known = store.known(Wanted(profiles=["p1"], sessions=["s1"], events=[]))
    assert known.profiles == {"p1": Profile("p1", 2, {"id": "p1", "traits": {"city": "Rome"}})}
    assert known.sessions["s1"] == Session(
        "s1", "p1", 2, {"id": "s1", "profile": {"id": "p1"}, "context": {"page": "new"}}
    )


def test_a_higher_version_replaces(store: Store) -> None:
    """A later record's profile is the profile; its place in a search stays that of its creation."""
    store.write(batch(profile("p1"), profile("p2"), session("s1")))
    assert store.write(batch(profile("p1", 2**62, city="Rome"), session("s1", 5, page="new"))) == []
    assert store.get("profiles", "p1") == {"id": "p1", "traits": {"city": "Rome"}}
    assert ids(store, "profiles") == ["p2", "p1"]
    assert store.get("sessions", "s1")["context"] == {"page": "new"}  # type: ignore[index]


def test_a_writer_that_is_behind_is_fenced_and_leaves_nothing(store: Store) -> None:
    """Two owners of one partition: the second write with the same `before` fails, whole."""
    store.write(batch(event("e1"), progress={0: (5, 8), 1: (0, 2)}))
    with pytest.raises(Fenced, match="partition 0"):
        store.write(
            batch(
                event("e2"),
                profile("p1"),
                letter("d1"),
                progress={1: (2, 4), 0: (5, 9)},
                counters={CounterKey(1, 0, "shop", 1): Counts(received=1)},
            )
        )
    assert [store.count(kind, "") for kind in KINDS] == [0, 1, 0, 0]
    assert store.progress(1) == {0: 8, 1: 2}
    assert list(store.counters()) == []
    store.write(batch(event("e2"), progress={0: (8, 9)}))
    assert store.progress(1) == {0: 9, 1: 2}


def test_progress_belongs_to_its_epoch(store: Store) -> None:
    """A new topic id starts at offset 0 again, beside the old one's progress."""
    assert store.latest_progress() == (0, {})
    assert (store.epoch("topic-a"), store.epoch("topic-b"), store.epoch("topic-a")) == (1, 2, 1)
    assert store.latest_progress() == (2, {})
    store.write(batch(progress={0: (0, 10)}, epoch=1))
    store.write(batch(progress={0: (0, 3)}, epoch=2))
    assert store.progress(1) == {0: 10}
    assert store.progress(3) == {}
    assert store.latest_progress() == (2, {0: 3})


def test_epochs_are_numbered_once_whoever_asks(store: Store) -> None:
    """Collectors that start together get the same number for the same topic."""
    numbers: list[int] = []
    threads = [threading.Thread(target=lambda: numbers.append(store.epoch("topic"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers == [1] * 8
    assert store.epoch("next") == 2


def test_counters_add_up(store: Store) -> None:
    """The balance sheet is the sum of what every batch reported, per source and minute, oldest first."""
    late, early = CounterKey(1, 0, "shop", 29), CounterKey(1, 0, "app", 28)
    store.write(batch(counters={late: Counts(received=3, stored=2, duplicate=1)}))
    store.write(batch(counters={early: Counts(received=1, dead=1), late: Counts(received=2, stored=1, dropped=1)}))
    assert list(store.counters()) == [
        (early, Counts(received=1, dead=1)),
        (late, Counts(received=5, stored=3, duplicate=1, dropped=1)),
    ]


def test_known_looks_only_where_it_is_told(store: Store) -> None:
    """An event is deduplicated within the months of its own time, whatever lies in others."""
    old, strange = event("old", time_ms=NOW_MS - MONTH_MS), event("strange", time_ms=0)
    store.write(batch(event("new"), old, strange))
    wanted = [
        EventKey("new", ("2025-11", "2025-10")),
        EventKey("old", ("2025-11",)),
        EventKey("strange", ("other",)),
        EventKey("unknown", ("2025-11", "other")),
        EventKey("new", ("1999-01",)),
    ]
    known = store.known(Wanted(profiles=["nobody"], sessions=["none"], events=wanted[:4]))
    assert (known.profiles, known.sessions) == ({}, {})
    assert set(known.events) == {"new", "strange"}
    assert known.events["new"].position == event("new").position
    assert known.events["new"].digest == event("new").digest
    assert store.known(msgspec.structs.replace(NOTHING, events=[wanted[4]])).events == {}


def test_known_takes_thousands_of_ids(store: Store) -> None:
    """A batch asks for all its ids at once, odd characters included."""
    odd = 'it\'s "odd" © 🛒'
    store.write(batch(event(odd), profile(odd)))
    many = [f"x{n}" for n in range(5_000)]
    known = store.known(Wanted([*many, odd], many, [EventKey(id, ("2025-11", "other")) for id in [*many, odd]]))
    assert set(known.profiles) == set(known.events) == {odd}


def test_outcomes_are_the_documents_of_stored_events(store: Store) -> None:
    """A replay produces what it produced before from the stored document, byte for byte."""
    one, other = event("e1", cds=1), event("e2", time_ms=0)
    store.write(batch(one, other))
    asked = [("e1", "2025-11"), ("e2", "other"), ("e2", "2025-11"), ("e3", "2001-01")]
    assert store.outcomes(asked) == {"e1": one.doc, "e2": other.doc}


def test_get_finds_an_event_in_any_month(store: Store) -> None:
    """The id is all one needs to see an event."""
    store.write(batch(event("new"), event("old", time_ms=NOW_MS - 300 * MONTH_MS), event("strange", time_ms=-1)))
    assert [store.get("events", id)["id"] for id in ("new", "old", "strange")] == ["new", "old", "strange"]  # type: ignore[index]
    assert [store.get(kind, "nothing") for kind in KINDS] == [None] * 4


def test_events_come_newest_first_and_the_unplaced_last(store: Store) -> None:
    """By event time over all months; of equal times the later write first; times out of range at the end."""
    store.write(
        batch(
            event("month-ago", time_ms=NOW_MS - MONTH_MS),
            event("first"),
            event("far-future", time_ms=NOW_MS * 2),
            event("second"),
            event("earlier", time_ms=NOW_MS - 1),
        )
    )
    assert ids(store, "events") == ["second", "first", "earlier", "month-ago", "far-future"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_pages_give_everything_once_in_order(store: Store, kind: Kind, size: int) -> None:
    """Following `next` walks through all matches, whatever the size of a page."""
    store.write(batch(*(event(f"e{n}", time_ms=NOW_MS - n % 4 * MONTH_MS) for n in range(20))))
    store.write(batch(*(profile(f"p{n}") for n in range(20)), *(session(f"s{n}") for n in range(20))))
    store.write(batch(*(letter(f"d{n}", at_ms=NOW_MS - n % 3) for n in range(20))))
    expected = ids(store, kind)
    found: list[str] = []
    cursor: str | None = None
    for _ in range(21):
        page = store.search(kind, "", size, cursor)
        assert 1 <= len(page.items) <= size
        found += [document["id"] for document in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == expected
    assert len(set(found)) == 20


def test_a_cursor_survives_what_is_written_meanwhile(store: Store) -> None:
    """New events before the cursor neither shift the next page nor show up twice."""
    store.write(batch(*(event(f"e{n}", time_ms=NOW_MS - n) for n in range(6))))
    page = store.search("events", "", 3, None)
    store.write(batch(event("newer", time_ms=NOW_MS + 1), event("between", time_ms=NOW_MS - 4, profile_id="p2")))
    rest = store.search("events", "", 10, page.next)
    assert [document["id"] for document in rest.items] == ["e3", "between", "e4", "e5"]
    assert rest.next is None


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "!!!!", "W10", "WyJldmVudHMiLCIiLDAsMTAwMDAwMDAwMDAwMDAwMDAwMDAwXQ", "WyL_IiwxLDJd"]
)
def test_a_cursor_that_is_none_is_refused(store: Store, cursor: str) -> None:
    """Whatever comes in the URL: a clear answer, never an internal error."""
    with pytest.raises(QueryError, match="cursor"):
        store.search("events", "", 10, cursor)


def test_a_cursor_of_another_kind_is_refused(store: Store) -> None:
    """A cursor of profiles means nothing among events."""
    store.write(batch(profile("p1"), profile("p2")))
    cursor = store.search("profiles", "", 1, None).next
    with pytest.raises(QueryError, match="profiles"):
        store.search("events", "", 1, cursor)


@pytest.mark.parametrize("size", [0, -1, 1_001])
def test_a_page_has_a_size(store: Store, size: int) -> None:
    """The API checks sizes; a slip there must not become a read of everything."""
    with pytest.raises(ValueError, match="1000"):
        store.search("events", "", size, None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["e1", "e2", "e3"]),
        ("type = purchase", ["e1", "e2"]),
        ("type = PURCHASE", []),
        ("type != purchase", ["e3"]),
        ("type IN [purchase, 'page-*'] AND NOT profile.id = p1", ["e2"]),
        ("type ~ '^p' AND (properties.cds > 1 OR session IS NULL)", ["e2", "e3"]),
        ("profile NOT IN [p1]", ["e2"]),
        ("profile != [p1]", ["e2", "e3"]),
        ("lower(type) = purchase AND properties.cds BETWEEN 1 AND 2", ["e1", "e2"]),
        ("properties.cds < 2 OR properties.paid EXISTS", ["e1", "e3"]),
        ("profile.id = session.id OR profile@id = session@id", []),
        ("event@type = 'purchase' and properties.cds = 2", ["e2"]),
        ("profile.id = p1", ["e1"]),
        ("profile@id = p1 AND session@id = s1", ["e1"]),
        ("profile = 1001", ["e2"]),
        ("profile.id = null", ["e3"]),
        ("profile = null AND session = null", ["e3"]),
        ("source = shop AND source.id = shop", ["e1", "e2", "e3"]),
        ("id = e2", ["e2"]),
        ("id = ''", []),
        ("id = null", []),
        ("properties.cds = 1.0", ["e1"]),
        ("properties.cds = '1'", []),
        ("properties.paid = true", ["e1"]),
        ("properties.paid = 1", ["e3"]),
        ("properties.paid = null", ["e2"]),
        ("properties.colours = red", ["e1"]),
        ("properties.colours.1 = red", []),
        ("properties.colours.0 = red", ["e1"]),
        ("properties.`a b` = 'x'", ["e2"]),
        ("properties['größe \"x\"'] = 4", ["e2"]),
        ("properties.missing = x", []),
        ("properties = x", []),
        ('properties.note = "it\'s; DROP TABLE events -- %s ? :a"', ["e3"]),
    ],
)
def test_queries_find_what_they_say(store: Store, query: str, expected: list[str]) -> None:
    """The language means the same in every store; so does its count."""
    e3_note = "it's; DROP TABLE events -- %s ? :a"
    store.write(
        batch(
            event("e1", cds=1, paid=True, colours=["red", "blue", 1]),
            event("e2", profile_id="1001", time_ms=NOW_MS - 1, cds=2, **{"a b": "x", 'größe "x"': 4}),
            event("e3", type="page-view", profile_id="", session_id="", time_ms=NOW_MS - 2, paid=1, note=e3_note),
        )
    )
    assert ids(store, "events", query) == expected
    assert store.count("events", query) == len(expected)


def test_a_text_is_found_whatever_its_length(store: Store) -> None:
    """Such as an IPv6 address, or one of 10,000 characters that begins as another does."""
    address, story = "2001:db8:85a3:8d3:1319:8a2e:370:7348", "a word " * 1_400
    store.write(batch(event("e1", address=address, story=f"{story}end"), event("e2", story=f"{story}other end")))
    for query, expected in (
        (f"properties.address = '{address}'", ["e1"]),
        (f"properties.story = '{story}end'", ["e1"]),
        (f"properties.story = '{story}'", []),
        ("properties.story = 'a word *' AND properties.story ~ 'other end$'", ["e2"]),
    ):
        assert ids(store, "events", query) == expected, query[:40]
        assert store.count("events", query) == len(expected)


def test_profiles_and_sessions_are_searched_by_their_own_fields(store: Store) -> None:
    """With and without the prefix; a number is a number, a missing session holder is null."""
    store.write(
        batch(profile("p1", city="Rome", total=12.5), profile("p2", city="Bonn"), session("s1"), session("s2", 1, ""))
    )
    assert ids(store, "profiles", "profile@traits.city = Rome AND traits.total = 12.50") == ["p1"]
    assert ids(store, "sessions", "profile@id = p1") == ["s1"]
    assert ids(store, "sessions", "profile = null") == ["s2"]
    assert store.count("profiles", "traits.total = null") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_that_is_wrong_says_where(store: Store, kind: Kind) -> None:
    """Line and column, before anything is read."""
    for ask in (lambda query: store.search(kind, query, 1, None), lambda query: store.count(kind, query)):
        with pytest.raises(QueryError) as caught:
            ask("id = 1\nAND x")
        assert (caught.value.line, caught.value.column) == (2, 6)


def test_a_dead_letter_shows_all_there_is(store: Store) -> None:
    """Why, where, when and what; the body as text where it is text."""
    store.write(batch(letter("d1", '{"ü'.encode())))
    assert store.get("dead-letters", "d1") == {
        "id": "d1",
        "source": "shop",
        "reason": "not_json",
        "detail": "no JSON",
        "stage": "bridge",
        "origin": "bridge:orders:0/5",
        "status": "open",
        "at": "2025-11-24T16:00:00.000Z",
        "first_at": "2025-11-24T16:00:00.000Z",
        "resolved_at": None,
        "attempts": 1,
        "payload_id": "payload-d1",
        "key": "ä",
        "time_ms": NOW_MS - 5,
        "body_size": 4,
        "body_sha256": None,
        "headers": {"x-id": "42"},
        "meta": {"topic": "orders"},
        "position": {"epoch": 1, "partition": 0, "offset": 5, "place": 0},
        "body": '{"ü',
        "body_base64": None,
        "body_truncated": False,
    }
    assert ids(store, "dead-letters", "reason = not_json AND headers.x-id = '42' AND position.offset = 5") == ["d1"]
    assert ids(store, "dead-letters", "meta.topic = orders") == ["d1"]
    assert ids(store, "dead-letters", "origin = rest") == []
    with pytest.raises(QueryError, match="bytes"):
        store.search("dead-letters", "body = x", 10, None)


def test_bytes_that_are_no_text_come_as_base64(store: Store) -> None:
    """The original is never bent into characters."""
    store.write(batch(letter("d1", b"\xff\x00")))
    document = store.search("dead-letters", "", 1, None).items[0]
    assert (document["body"], document["body_base64"]) == (None, "/wA=")
    assert store.dead_letter_body("d1") == b"\xff\x00"


def test_a_large_original_lies_in_the_blobs(store: Store) -> None:
    """Its beginning is shown, cut between characters; the download has every byte."""
    original = "€".encode() * 1_000_000
    sha256 = store.put_blob(original)
    store.write(batch(letter("d1", b"", sha256=sha256, size=len(original))))
    document = store.get("dead-letters", "d1")
    assert document is not None
    assert (document["body"], document["body_truncated"]) == ("€" * (65_536 // 3), True)
    assert store.dead_letter_body("d1") == original


def test_a_letter_that_fails_again_is_the_same_letter_with_one_more_attempt(store: Store) -> None:
    """What came in stays as it was; the newest reason and time are told."""
    store.write(batch(letter("d1", b"first"), letter("d2")))
    newer = msgspec.structs.replace(
        letter("d1", b"other", at_ms=NOW_MS + 60_000), reason="bad_time", detail="no time", attempts=2
    )
    for attempts in (2, 3):
        store.write(batch(failed_again=[newer]))
        document = store.get("dead-letters", "d1")
        assert document is not None
        assert document["attempts"] == attempts
    assert (document["reason"], document["detail"]) == ("bad_time", "no time")
    assert (document["at"], document["first_at"]) == ("2025-11-24T16:01:00.000Z", "2025-11-24T16:00:00.000Z")
    assert (document["status"], document["body"]) == ("open", "first")
    assert ids(store, "dead-letters", "reason = bad_time AND status = open AND attempts = 3") == ["d1"]
    assert ids(store, "dead-letters", "reason = not_json") == ["d2"]
    assert ids(store, "dead-letters", "") == ["d1", "d2"], "the newest failure first"
    assert store.count("dead-letters", "") == 2


def test_a_letter_of_another_store_that_fails_again_is_kept(store: Store) -> None:
    """After a store was lost, the log may hold replays of letters that nobody has any more."""
    store.write(batch(failed_again=[msgspec.structs.replace(letter("d1", b"bytes"), attempts=4)], resolved={"d2": 1}))
    document = store.get("dead-letters", "d1")
    assert document is not None
    assert (document["attempts"], document["body"], document["status"]) == (4, "bytes", "open")
    assert store.get("dead-letters", "d2") is None


def test_a_resolved_letter_stays_resolved(store: Store) -> None:
    store.write(batch(letter("d1"), letter("d2")))
    store.write(batch(resolved={"d1": NOW_MS + 1_000}))
    store.write(batch(resolved={"d1": NOW_MS + 2_000}, failed_again=[letter("d1")]))
    document = store.get("dead-letters", "d1")
    assert document is not None
    assert (document["status"], document["resolved_at"]) == ("resolved", "2025-11-24T16:00:01.000Z")
    assert document["attempts"] == 2
    assert ids(store, "dead-letters", "status = resolved") == ["d1"]
    assert ids(store, "dead-letters", "status = open") == ["d2"]


def test_a_write_that_is_fenced_counts_no_attempt(store: Store) -> None:
    store.write(batch(letter("d1"), progress={0: (0, 5)}))
    with pytest.raises(Fenced):
        store.write(batch(failed_again=[letter("d1")], resolved={"d1": NOW_MS}, progress={0: (0, 6)}))
    document = store.get("dead-letters", "d1")
    assert document is not None
    assert (document["attempts"], document["status"]) == (1, "open")


def test_open_letters_come_in_the_order_in_which_they_first_came(store: Store) -> None:
    """Page by page, also while those of a page fail again or are resolved."""
    store.write(batch(*(letter(f"d{n}", at_ms=NOW_MS - n) for n in range(10))))
    store.write(batch(resolved={"d3": NOW_MS}))
    seen: list[str] = []
    after: int | None = 0
    while after is not None:
        documents, after = store.open_dead_letters("source = shop", 4, after)
        seen += [document["id"] for document in documents]
        assert all("body" not in document for document in documents)
        store.write(batch(failed_again=[letter(documents[0]["id"], at_ms=NOW_MS + 9)], resolved={seen[-1]: NOW_MS}))
    assert seen == ["d0", "d1", "d2", "d4", "d5", "d6", "d7", "d8", "d9"]
    assert store.count_open_dead_letters("") == 10 - 1 - 3
    assert store.count_open_dead_letters("reason = bad_time") == 0
    assert store.open_dead_letters("reason = bad_time", 4, 0) == ([], None)
    with pytest.raises(QueryError):
        store.count_open_dead_letters("reason =")
    with pytest.raises(ValueError, match="page"):
        store.open_dead_letters("", 0, 0)


def test_a_dead_letter_without_its_blob_is_still_shown(store: Store) -> None:
    """What is known of it is worth seeing even if the bytes are gone."""
    store.write(batch(letter("d1", b"", sha256="0" * 64, size=9)))
    assert store.dead_letter_body("d1") == b""
    assert store.get("dead-letters", "d1")["body_truncated"] is True  # type: ignore[index]
    assert store.dead_letter_body("d2") is None


def test_headers_that_are_no_json_are_shown_as_they_are(store: Store) -> None:
    """A letter is the last resort: nothing about it may fail."""
    store.write(batch(msgspec.structs.replace(letter("d1"), headers=b"\xffx")))
    assert store.get("dead-letters", "d1")["headers"] == {"unreadable": "ÿx"}  # type: ignore[index]


def test_a_blob_is_kept_once_under_its_hash(store: Store) -> None:
    """Putting it again, as a bridge does after a crash, is harmless."""
    sha256 = store.put_blob(b"abc")
    assert sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert store.put_blob(b"abc") == sha256
    assert store.get_blob(sha256) == b"abc"
    assert store.get_blob("0" * 64) is None


def test_what_is_given_out_can_be_changed_without_harm(store: Store) -> None:
    """A caller that changes its copy does not change the store."""
    mine = profile("p1", city="Rome")
    store.write(batch(mine))
    mine.doc["traits"]["city"] = "Bonn"
    store.known(Wanted(["p1"], [], [])).profiles["p1"].doc.clear()
    store.get("profiles", "p1").clear()  # type: ignore[union-attr]
    assert store.get("profiles", "p1") == {"id": "p1", "traits": {"city": "Rome"}}


@pytest.mark.parametrize("url", ["", "hub.sqlite", "sqlite://", "sqlite:///", "mysql://user:secret@db/hub", "memory"])
def test_an_unknown_url_is_refused_with_what_is_known(url: str) -> None:
    """And without repeating a password that it may hold."""
    with pytest.raises(Refused, match=r"sqlite:///FILE and memory://") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_index_fields_and_computed_ones_are_found(store: Store) -> None:
    """What event types make of events and profiles can be searched like all else."""
    hub = Hub(1, CompiledDefinitions(Catalogue()).at_least(-1), store)
    hub.put(track("ann", made("e1", "sign-in", email={"main": "a@x.org"}, pk=7)), track("bob", made("e2", "page-view")))
    hub.settle()
    found = "data.contact.email.main = 'a@x.org' AND journey.state = consideration AND tags.values = 'event:behavioral'"
    assert ids(store, "events", found) == ["e1"]
    assert ids(store, "profiles", "data.anonymous = false AND data.identifier.pk = 7 AND primary_id = 7") == []
    assert ids(store, "profiles", "data.anonymous = false AND data.identifier.pk = 7") == ["ann"]
    assert ids(store, "profiles", "data.anonymous = true") == ["bob"]

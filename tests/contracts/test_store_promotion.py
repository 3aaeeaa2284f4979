"""What every store promises when profiles are replaced by a shadow's, and to whoever compares the two before."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from hub.errors import Fenced, Unavailable
from hub.model import Alias, Claim, Identity, MergeEntry, Wanted
from hub.pipeline.applied import Promoted
from hub.store import Store, open_store
from hub.store.port import AliasRow
from hub.store.sqlite import SqliteStore
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, profile


def document(id: str, **traits: object) -> tuple[str, bytes]:
    return id, msgspec.json.encode({"id": id, "traits": traits})


def traits(store: Store, id: str) -> object:
    found = store.get("profiles", id)
    assert found is not None
    return found["traits"]


def test_which_lines_of_mappings_profiles_from_elsewhere_have(store: Store) -> None:
    """And of which events: those that are stored by then."""
    epoch = store.epoch("topic")
    store.write(batch(profile("a"), progress={0: (0, 5), 3: (2, 9)}, epoch=epoch))
    with store.promotion("none", at_ms=NOW_MS, most_s=10):
        pass
    assert store.promoted() == []
    with store.promotion("next", at_ms=NOW_MS, most_s=10) as promotion:
        promotion.note_mapped({"purchase": {"spending": "abcdef"}})
    assert store.promoted() == [Promoted(epoch, {0: 5, 3: 9}, {"purchase": {"spending": "abcdef"}})]


def test_profiles_are_replaced_and_keep_their_versions(store: Store) -> None:
    """All of them at once at the end, none but those that are there."""
    store.write(batch(profile("a", 7, n=1), profile("b", 8, n=1), profile("c", 9, n=1), progress={0: (0, 1)}))
    with store.promotion("next", at_ms=NOW_MS, most_s=10) as promotion:
        promotion.replace([document("a", n=2), document("gone", n=2)])
        promotion.replace([document("b", n=3)])
    assert [traits(store, id) for id in "abc"] == [{"n": 2}, {"n": 3}, {"n": 1}]
    assert store.count("profiles", "") == 3
    known = store.known(Wanted(["a", "b", "c"], [], [])).profiles
    assert {id: one.version for id, one in known.items()} == {"a": 7, "b": 8, "c": 9}
    assert store.progress(1) == {0: 1}


def test_who_wrote_before_a_promotion_is_fenced(store: Store) -> None:
    """Nothing of its batch is written: what it knows of the profiles is old."""
    store.write(batch(profile("a", 1, n=1), progress={0: (0, 1)}))
    with store.promotion("next", at_ms=NOW_MS, most_s=10) as promotion:
        promotion.replace([document("a", n=2)])
    with pytest.raises(Fenced, match="replaced by those of next"):
        store.write(batch(event("e1"), profile("a", 2, n=9), progress={0: (1, 2)}))
    assert (traits(store, "a"), store.progress(1), store.count("events", "")) == ({"n": 2}, {0: 1}, 0)


def test_a_promotion_that_fails_changes_nothing(store: Store) -> None:
    """And fences nobody."""
    store.write(batch(profile("a", 1, n=1), progress={0: (0, 1)}))

    def promote() -> None:
        with store.promotion("next", at_ms=NOW_MS, most_s=10) as promotion:
            promotion.replace([document("a", n=2)])
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        promote()
    assert traits(store, "a") == {"n": 1}
    store.write(batch(profile("a", 2, n=3), progress={0: (1, 2)}))
    assert traits(store, "a") == {"n": 3}


def test_a_promotion_whose_time_is_over_changes_nothing(store: Store) -> None:
    store.write(batch(profile("a", 1, n=1), progress={0: (0, 1)}))

    def promote() -> None:
        with store.promotion("next", at_ms=NOW_MS, most_s=0.05) as promotion:
            while True:
                promotion.replace([document("a", n=2)])

    with pytest.raises(Unavailable):
        promote()
    assert traits(store, "a") == {"n": 1}
    store.write(batch(profile("a", 2, n=3), progress={0: (1, 2)}))


def test_events_and_whose_they_are(store: Store) -> None:
    """In the order in which they came, page by page, each partition by itself; or asked for by id."""
    store.write(batch(event("e2", profile_id="b"), event("old", time_ms=NOW_MS - MONTH_MS, profile_id="")))
    store.write(batch(event("e1", profile_id="a"), event("e3", profile_id="c")))
    old, month = store.event_partitions()
    assert store.event_partitions() == sorted([old, month])
    assert [(one.id, one.profile_id) for one in store.events_since(old, 0, 10)] == [("old", "")]
    first = store.events_since(month, 0, 2)
    assert [(one.id, one.profile_id) for one in first] == [("e2", "b"), ("e1", "a")]
    assert [one.id for one in store.events_since(month, first[-1].seq, 2)] == ["e3"]
    assert store.events_since(month, first[-1].seq + 1, 2) == []
    assert store.event_owners(month, ["e3", "old", "e1"]) == {"e3": "c", "e1": "a"}
    assert store.event_owners("1999-01", ["e3"]) == {}


def test_identifiers_and_who_claimed_them(store: Store) -> None:
    store.claim([Claim("zz", "email", "a", "e1", NOW_MS), Claim("aa", "email", "b", "e2", NOW_MS)])
    store.claim([Claim("zz", "email", "c", "e3", NOW_MS), Claim("bb", "email", "c", "e3", NOW_MS)])
    first = store.claims_since(0, 2)
    assert [(one.id, one.profile_id) for one in first] == [("zz", "a"), ("aa", "b")]
    assert [one.id for one in store.claims_since(first[-1].seq, 2)] == ["bb"]


def identity(*aliases: str, merged: str = "", undone: str = "") -> Identity:
    """`aliases`: profiles merged into "a" by a merge of the same name."""
    entry = MergeEntry(
        id=merged,
        loser_id=merged,
        survivor_id="a",
        version=1,
        at_ms=NOW_MS,
        reason=b"{}",
        loser=b"{}",
        survivor=b"{}",
        changes=b"[]",
    )
    return Identity(
        aliases={id: Alias("a", 1, id) for id in aliases},
        restored=[],
        taken=[],
        uses={},
        merges=[entry] if merged else [],
        undone={undone: NOW_MS} if undone else {},
        forwarded=[],
        outbox=[],
    )


def test_merged_profiles_and_whether_the_merge_is_through(store: Store) -> None:
    """It is once the survivor has taken the data, and no longer when it is being undone."""

    def write(one: Identity) -> None:
        store.write(msgspec.structs.replace(batch(), identity=one))

    write(identity("c", "b"))
    assert store.aliases_after("", 10) == [AliasRow("b", "a", settled=False), AliasRow("c", "a", settled=False)]
    write(identity(merged="c"))
    assert store.aliases_after("b", 10) == [AliasRow("c", "a", settled=True)]
    assert store.aliases_after("", 1) == [AliasRow("b", "a", settled=False)]
    write(identity(undone="c"))
    assert store.aliases_after("b", 10) == [AliasRow("c", "a", settled=False)]


# SQLite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hub.sqlite"


def test_who_opens_the_file_afterwards_goes_on(path: Path) -> None:
    """As a collector does that is started again; versions go on from where they were."""
    before = SqliteStore(path)
    before.write(batch(profile("a", 1, n=1), progress={0: (0, 1)}))
    with SqliteStore(path).promotion("next", at_ms=NOW_MS, most_s=10) as promotion:
        promotion.replace([document("a", n=2)])
    with pytest.raises(Fenced):
        before.write(batch(profile("a", 2, n=3), progress={0: (1, 2)}))
    after = open_store(f"sqlite:///{path}")
    after.write(batch(profile("a", 2, n=3), progress={0: (1, 2)}))
    assert traits(after, "a") == {"n": 3}
    before.close()
    after.close()


def test_nobody_else_writes_during_a_promotion_and_everybody_reads(path: Path) -> None:
    """A batch that comes meanwhile waits, and is fenced then; one of after a promotion that was given up is written."""
    promoting, writing = SqliteStore(path), SqliteStore(path)
    writing.write(batch(profile("a", 1, n=1), progress={0: (0, 1)}))
    failed: list[BaseException] = []

    def write(after: int) -> None:
        try:
            writing.write(batch(profile("a", after, n=after), progress={0: (after - 1, after)}))
        except Fenced as exc:
            failed.append(exc)

    def start(after: int) -> threading.Thread:
        thread = threading.Thread(target=write, args=(after,))
        thread.start()
        return thread

    def promote() -> None:
        with promoting.promotion("next", at_ms=NOW_MS, most_s=0.2) as promotion:
            promotion.replace([document("a", n=5)])
            start(2).join()  # goes on when the time is over, though this block does not

    with pytest.raises(Unavailable, match="had to wait"):
        promote()
    assert (failed, traits(writing, "a")) == ([], {"n": 2})

    with promoting.promotion("next", at_ms=NOW_MS, most_s=10) as promotion:
        promotion.replace([document("a", n=7)])
        waiting = start(3)
        assert traits(writing, "a") == {"n": 2}
        waiting.join(0.1)
        assert waiting.is_alive()
    waiting.join()
    assert [type(one) for one in failed] == [Fenced]
    assert traits(writing, "a") == {"n": 7}
    promoting.close()
    writing.close()

"""What event types have made of profiles: told again, rebuilt from the store, merged, and taken apart again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hub.pipeline.process import Outcome
from hub.pipeline.records import decode
from hub.replay.rebuild import inbound_of
from schemas.records import Inbound
from tests.factories import log, track
from tests.unit.hub_model import Hub
from tests.unit.test_event_types import BUILT_IN, event, stored, taken
from tests.unit.test_identity import ask, undo

STORY: list[Inbound] = [
    track("a", event("a1", "sign-up", 2, firstname="Ann", email={"main": "a@x.org"}), session_id="s1"),
    track("b", event("b1", "loyalty-card-added", 5, id="L1", name="Gold")),
    track("a", event("a2", "checkout-started", 3, value=10), event("a3", "checkout-completed", 4, value=10)),
    track("b", event("b2", "add-color-preference", 6, color="red"), event("b3", "increase-interest", interest="tea")),
    track("a", event("a4", "profile-update", 1, pii={"firstname": "Late", "lastname": "Lee"}), session_id="s2"),
    track("b", event("b4", "checkout-started", 7, value=5), event("b5", "page-view", 8, id="/tea")),
    track("a", event("a5", "increase-interest", 9, interest="tea", value=2)),
    track("b", event("b6", "loyalty-card-removed", 10, id="L1")),
]


def settled(*inbounds: Inbound, hub: Hub | None = None) -> Hub:
    return taken(*inbounds, hub=hub or Hub(3, BUILT_IN))


def of(profile: dict[str, Any]) -> dict[str, Any]:
    """What events have made, without where on the log they lay."""
    return {name: profile.get(name) for name in ("primary_id", "data", "traits", "interests", "consents")}


def test_a_batch_that_is_told_again_tells_the_same() -> None:
    hub = Hub(1, BUILT_IN)
    records = log(*STORY)

    def told() -> Outcome:
        outcome = hub.owners[0].process(list(decode(records)))
        hub.store.write(outcome.batch)
        return outcome

    first = told()
    before = [hub.profile(id) for id in "ab"]
    again = told()
    assert again.stored == first.stored
    assert [hub.profile(id) for id in "ab"] == before


@pytest.mark.parametrize("merged", [False, True])
def test_records_that_are_rebuilt_from_the_store_make_the_same(merged: bool) -> None:
    hub = settled(*STORY, *([ask("b", "a")] if merged else []))
    found = [stored(hub, one["id"]) for inbound in STORY for one in inbound["body"][1]["events"]]  # type: ignore[index, typeddict-item, union-attr]
    again = settled(*(inbound_of([msgspec.json.encode(document)]) for document in found))
    if merged:
        settled(ask("b", "a"), hub=again)
    for id in "ab":
        assert of(again.profile(id)) == of(hub.profile(id))
    for document in found:
        other = stored(again, document["id"])
        for name in ("data", "traits", "hit", "tags", "journey"):
            assert other.get(name) == document.get(name)


@pytest.mark.parametrize("merge_at", range(len(STORY) + 1))
def test_it_does_not_matter_when_two_become_one(merge_at: int) -> None:
    hub = settled(*STORY[:merge_at], ask("b", "a"), *STORY[merge_at:])
    (profile,) = hub.profiles()
    assert of(profile) == {
        "primary_id": None,
        "data": {
            "anonymous": False,
            "pii": {"firstname": "Ann", "lastname": "Lee"},
            "contact": {"email": {"main": "a@x.org"}},
            "metrics": {"ltcosc": 2, "ltcosv": 15, "ltcocc": 1, "ltcocv": 10, "ltv": 10, "ltcop": 0.5},
            "preferences": {"colors": ["red"]},
        },
        "traits": {},
        "interests": {"tea": 3},
        "consents": {},
    }


@pytest.mark.parametrize("merge_at", range(len(STORY) + 1))
def test_an_undo_leaves_each_with_its_own(merge_at: int) -> None:
    apart = settled(*STORY)
    hub = settled(*STORY[:merge_at], ask("b", "a"), *STORY[merge_at:])
    settled(undo(hub, "b"), hub=hub)
    assert hub.profile("b")["id"] == "b"
    for id in "ab":
        assert of(hub.profile(id)) == of(apart.profile(id))
        theirs = apart.profile(id)["metadata"]["fields"]
        assert hub.profile(id)["metadata"]["fields"].keys() == theirs.keys()
    late = track("b", event("late", "loyalty-card-added", 9, id="L1", name="Gold"))
    settled(late, hub=hub)
    assert "loyalty" not in hub.profile("b")["data"]

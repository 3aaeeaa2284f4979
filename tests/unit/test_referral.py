"""From one site to another by a link that says who it was: the session there is theirs, with proof, and only then."""

from __future__ import annotations

import msgspec
import pytest

from hub.ids import derived
from schemas.records import Inbound
from tests.unit.hub_model import Hub
from tests.unit.test_identity import assert_balanced, settled, sign_in, told, undo
from tests.unit.test_modes import with_options
from tests.unit.test_sessions import session, total

GIVEN = derived("session", "there")
"""What the edge calls somebody who comes with the session `there` and names no profile."""


def led(
    id: str, profile_id: str, n: int, session_id: str = "there", profile: str = "a", proof: object = "here"
) -> Inbound:
    sent = sign_in(id, profile_id, n, session_id=session_id)
    about = {"profile": profile, "source": "shop"} | ({} if proof is None else {"session": proof})
    sent["body"][1]["context"] = msgspec.json.encode({"tracardi": {"pass": about}})  # type: ignore[typeddict-unknown-key]
    return sent


def here(profile_id: str = "a") -> Inbound:
    return sign_in("e1", profile_id, 1, session_id="here")


@pytest.mark.parametrize("partitions", [1, 3])
def test_who_comes_by_a_link_of_their_own_is_the_same_person(partitions: int) -> None:
    hub = settled(here(), led("e2", GIVEN, 2), sign_in("e3", GIVEN, 4, session_id="there"), hub=Hub(partitions))
    assert hub.profile(GIVEN) == hub.profile("a")
    assert sorted(hub.profile("a")["ids"]) == sorted(["a", GIVEN])
    assert total(hub, hub.profile("a")["id"]) == 7
    settled(sign_in("e4", GIVEN, 8, session_id="later"), hub=hub)
    assert hub.profile("a")["traits"]["sum"] == 15, "and stays the same when the visit is over"
    assert hub.profile("a")["stats"] == {"events": 4, "visits": 3}
    assert_balanced(hub, 4)


@pytest.mark.parametrize(
    ("profile", "proof"),
    [("a", None), ("a", "unknown"), ("b", "here"), ("a", "of-c"), ("a", 7), ("a", ""), ("", "here")],
)
def test_without_proof_it_is_somebody_else(profile: str, proof: object) -> None:
    of_c = sign_in("e0", "c", 0, session_id="of-c")
    hub = settled(here(), of_c, led("e2", GIVEN, 2, profile=profile, proof=proof), sign_in("e3", GIVEN, 4))
    assert (total(hub, "a"), total(hub, GIVEN), session(hub, "there")) == (1, 6, (GIVEN, 1))
    assert_balanced(hub, 4)


def test_who_has_an_id_of_their_own_keeps_it() -> None:
    """The link may have been sent to a friend: what they do in this visit counts for who sent it, and no more."""
    hub = settled(here(), led("e2", "friend", 2), sign_in("e3", "friend", 4, session_id="later"))
    assert (total(hub, "a"), total(hub, "friend"), session(hub, "there")) == (3, 4, ("a", 1))
    assert told(hub, "e2")["metadata"]["sent_as"] == "friend"


def test_a_session_that_somebody_holds_already_stays_theirs() -> None:
    hub = settled(here(), sign_in("e2", GIVEN, 2, session_id="there"), led("e3", GIVEN, 4))
    assert (total(hub, "a"), total(hub, GIVEN)) == (1, 6)


def test_the_proof_may_be_of_a_profile_that_has_become_part_of_another() -> None:
    hub = settled(here("b"), sign_in("m1", "b", 0, "w"), sign_in("m2", "a", 0, "w"), led("e2", GIVEN, 2, profile="b"))
    assert hub.profile(GIVEN) == hub.profile("a") == hub.profile("b")


def test_it_can_be_undone_and_is_not_done_again_then() -> None:
    hub = settled(here(), led("e2", GIVEN, 2))
    loser = max("a", GIVEN)
    settled(undo(hub, loser), led("e3", GIVEN, 4), hub=hub)
    assert hub.profile("a")["id"] != hub.profile(GIVEN)["id"]
    assert_balanced(hub, 3)


@pytest.mark.parametrize("crash", ["computed", "written", "told"])
@pytest.mark.parametrize("partitions", [1, 3])
def test_wherever_a_collector_dies_it_is_the_same(partitions: int, crash: str) -> None:
    hub = settled(here(), hub=Hub(partitions))
    for sent in (led("e2", GIVEN, 2), led("e3", GIVEN, 4), sign_in("e4", GIVEN, 8, session_id="there")):
        hub.put(sent)
        for owner in hub.owners:
            owner.step(9, crash)
    hub.settle()
    assert hub.profile("a") == hub.profile(GIVEN)
    assert hub.profile("a")["traits"]["sum"] == 15
    assert session(hub, "there")[1] == 3
    assert_balanced(hub, 4)


def test_what_is_not_to_be_kept_claims_nothing() -> None:
    hub = settled(here(), with_options({"saveSession": False}, led("e2", GIVEN, 2)))
    assert hub.store.get("sessions", "there") is None
    assert (total(hub, "a"), total(hub, GIVEN)) == (1, 2)

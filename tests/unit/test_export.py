"""All of a person, and nothing of others, in the file that they are given: on both stores."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import msgspec

from hub.api.export import Export
from hub.pipeline.letter_owner import Looking
from hub.store.port import Store
from tests.contracts.batches import batch, letter
from tests.contracts.test_store_flow_runs import run
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import Hub
from tests.unit.test_privacy import hub, sign_in, store

__all__ = ["hub", "store"]
"""Fixtures."""


def exported(store: Store, profile: str) -> dict[str, list[Any]]:
    """By the file's name without its ending, the documents."""
    document = store.get("profiles", profile)
    assert document is not None
    with zipfile.ZipFile(io.BytesIO(b"".join(Export(store, document, {}, Looking(b"key"), NOW_MS)))) as file:
        lists = [name for name in file.namelist() if name.endswith(".ndjson")]
        return {
            name.removesuffix(".ndjson"): [json.loads(line) for line in file.read(name).splitlines()] for name in lists
        }


def ids(documents: list[Any]) -> list[str]:
    return sorted(one["id"] for one in documents)


def test_a_star_in_an_id_is_a_star(hub: Hub) -> None:
    """Ids are the clients': whoever is called * gets nothing of the others."""
    hub.put(
        sign_in("e1", "*", session="s1*"),
        sign_in("e2", "ann", session="s1-of-ann"),
        track("", event("e3", "page-view"), session_id="s1-of-ann"),
    )
    hub.settle()
    found = exported(hub.store, "*")
    assert (ids(found["sessions"]), ids(found["events"])) == (["s1*"], ["e1"])


def test_events_and_runs_without_a_profile_in_the_persons_sessions_are_theirs(hub: Hub) -> None:
    """They are erased with the person."""
    hub.put(
        sign_in("e1", "ann", session="s1"),
        track("", event("e2", "page-view"), session_id="s1"),
        track("", event("e3", "page-view"), session_id="s2"),
    )
    hub.settle()
    hub.store.save_flow_runs([run("r1", profile_id="", session_id="s1"), run("r2", profile_id="", session_id="s2")])
    found = exported(hub.store, "ann")
    assert (ids(found["events"]), ids(found["flow-runs"])) == (["e1", "e2"], ["r1"])


def test_of_many_sessions_nothing_is_left_out(hub: Hub) -> None:
    """More than one query may name."""
    for n in range(250):
        session = f"{n}*".rjust(100, '"')
        hub.put(sign_in(f"e{n}", "ann", session=session), track("", event(f"f{n}", "page-view"), session_id=session))
    hub.settle()
    assert len(exported(hub.store, "ann")["events"]) == 500


def test_the_bytes_of_a_dead_letter_are_all_there(hub: Hub) -> None:
    """However many: the API shows the first of them only."""
    hub.put(sign_in("e1", "ann"))
    hub.settle()
    body = msgspec.json.encode({"profile": {"id": "ann"}, "text": "x" * 100_000})
    sha256 = hub.store.put_blob(body)
    hub.store.write(batch(letter("d1", body), letter("d2", b"", sha256=sha256, size=len(body)), letter("d3")))
    letters = exported(hub.store, "ann")["dead-letters"]
    assert ids(letters) == ["d1", "d2"]
    assert {(one["body"], one["body_truncated"]) for one in letters} == {(body.decode(), False)}

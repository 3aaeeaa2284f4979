"""The state of a bridge in one word, when its definition, its lease and its process say different things."""

from __future__ import annotations

import pytest

from hub.api.steering import state
from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Bridge
from schemas.bridges import Status


@pytest.mark.parametrize(
    ("enabled", "owner", "status", "wanted"),
    [
        (True, "a", None, "starting"),
        (True, "a", Status(bridge="b", kind="kafka", version=1, state="running", process="a"), "running"),
        (False, "a", Status(bridge="b", kind="kafka", version=1, state="running", process="a"), "running"),
        (False, "a", Status(bridge="b", kind="kafka", version=1, state="stopped", process="a"), "paused"),
        (False, "a", Status(bridge="b", kind="kafka", version=1, state="stopped", process="another"), "paused"),
        (False, "a", None, "paused"),
        (False, None, None, "paused"),
    ],
)
def test_one_that_is_paused_says_so_also_while_a_process_rewinds_it(
    enabled: bool, owner: str | None, status: Status | None, wanted: str
) -> None:
    entry = Entry(Bridge(type="kafka", source="s", settings={}, enabled=enabled), 1, 0)
    assert state(entry, owner, status, None)[0] == wanted

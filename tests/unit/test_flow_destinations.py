"""Destinations that are for flows alone."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bridges.outward.keeper import DESTINATIONS
from bridges.outward.registry import validate
from bridges.registry import BridgeError
from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Destination

SMTP: dict[str, Any] = {"type": "smtp", "settings": {"host": "mail.example.com", "sender": "hub@example.com"}}
POSTGRES: dict[str, Any] = {
    "type": "postgres",
    "settings": {"url": "postgresql://127.0.0.1:1/x", "username": "u", "table": "t", "columns": ["amount"]},
}


def made(spec: dict[str, Any], **more: Any) -> Destination:
    return Destination.model_validate({**spec, **more})


@pytest.mark.parametrize("spec", [SMTP, POSTGRES])
def test_what_a_mapping_has_to_make_of_events_a_flow_says_itself(spec: dict[str, Any]) -> None:
    with pytest.raises(BridgeError, match="mapping"):
        validate(made(spec))
    validate(made(spec, sends="flows"))


@pytest.mark.parametrize("field", ["condition", "mapping", "key"])
def test_what_is_of_events_has_no_place_there(field: str) -> None:
    with pytest.raises(ValidationError, match=f"{field}: it is of events"):
        made(SMTP, sends="flows", **{field: "type = x"})


def test_nobody_runs_it() -> None:
    assert DESTINATIONS.runs(Entry(made(SMTP, mapping={}), 1, 0))
    assert not DESTINATIONS.runs(Entry(made(SMTP, sends="flows"), 1, 0))

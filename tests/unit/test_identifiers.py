"""Identifiers: one person, one hash, however it is written."""

from __future__ import annotations

from typing import Any

import pytest

from hub.definitions.kinds import IdentificationPoint, IdentifierField
from hub.edge.identifiers import Fault, NotIdentifying, Points, identifiers, normalise


@pytest.mark.parametrize(
    ("kind", "region", "text", "expected"),
    [
        ("email", "", " Ann.Lee@Example.COM ", "ann.lee@example.com"),
        ("email", "", "MailTo:ann@example.com", "ann@example.com"),
        ("email", "", "ann@bücher.example.", "ann@xn--bcher-kva.example"),
        ("email", "", "\uff41nn@example.com", "ann@example.com"),
        ("phone", "GB", "020 7946 0958", "+442079460958"),
        ("phone", "", "+44 (0)20 7946-0958", "+442079460958"),
        ("phone", "DE", "+44 20 79460958", "+442079460958"),
        ("id", "", " 00-A ", "00-A"),
        ("id", "", "x" * 1_024, "x" * 1_024),
    ],
)
def test_one_spelling(kind: str, region: str, text: str, expected: str) -> None:
    assert normalise(kind, region, text) == expected


@pytest.mark.parametrize(
    ("kind", "region", "text"),
    [
        ("email", "", "ann"),
        ("email", "", "@example.com"),
        ("email", "", "ann@"),
        ("email", "", "a b@example.com"),
        ("email", "", "a@b@example.com"),
        ("email", "", "ann@" + "x" * 70 + ".com"),
        ("phone", "", "020 7946 0958"),
        ("phone", "GB", "12"),
        ("phone", "GB", "n/a"),
        ("id", "", "  "),
        ("id", "", "x" * 1_025),
    ],
)
def test_what_identifies_nobody(kind: str, region: str, text: str) -> None:
    with pytest.raises(NotIdentifying):
        normalise(kind, region, text)


def point(event_type: str = "sign-in", source: str = "", **field: Any) -> IdentificationPoint:
    return IdentificationPoint(event_type=event_type, source=source, identifiers=[IdentifierField(**field)])


def test_an_event_has_each_identifier_once_and_says_what_is_none() -> None:
    points = Points(
        [
            ("a", point(event="properties.email", kind="email")),
            ("b", point("*", event="properties.contact.mail", kind="email")),
            ("c", point(event="properties.number", kind="id", name="crm")),
            ("d", point(source="app", event="properties.number", kind="id", name="app")),
            ("e", point(event="properties.flag", kind="id")),
        ]
    )
    event = {
        "properties": {"email": "A@b.example", "contact": {"mail": "a@B.example"}, "number": 7, "flag": True},
        "context": {},
    }
    found, faults = identifiers(points.of("sign-in"), "shop", event, b"key")
    assert [one.label for one in found] == ["email", "id:crm"]
    assert faults == [Fault("e", "properties.flag", "an identifier is a text or a whole number")]
    assert [one.label for one in identifiers(points.of("sign-in"), "app", event, b"key")[0]] == [
        "email",
        "id:crm",
        "id:app",
    ]
    assert [one.label for one in identifiers(points.of("other"), "shop", event, b"key")[0]] == ["email"]
    assert found != identifiers(points.of("sign-in"), "shop", event, b"other key")[0]


def test_ids_of_different_names_never_meet() -> None:
    points = Points([(name, point(event="properties.id", kind="id", name=name)) for name in ("", "crm", "erp")])
    found, _ = identifiers(points.of("sign-in"), "shop", {"properties": {"id": "7"}, "context": {}}, b"key")
    assert len({one.hash for one in found}) == 3


def test_nothing_is_hashed_where_no_point_is_in_force() -> None:
    off = IdentificationPoint(
        event_type="sign-in", enabled=False, identifiers=[IdentifierField(event="properties.email", kind="email")]
    )
    points = Points([("off", off)])
    assert not points
    assert not points.of("sign-in")

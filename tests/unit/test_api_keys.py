"""API keys without a server: whose key it is, until when, in which namespace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from hub.__main__ import app
from hub.definitions.api_keys import KIND, KeyVault, digest, holder, make, rotated
from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import ApiKey

NOW_MS = 1_795_533_660_000
HOUR_MS = 3_600_000


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def spec(key: str, **more: Any) -> ApiKey:
    return ApiKey.model_validate({"roles": ["read"], "hash": digest(key.encode(), "hub"), **more})


def catalogue(**keys: ApiKey) -> Catalogue:
    made = Catalogue()
    for offset, (id, one) in enumerate(keys.items()):
        value = msgspec.json.encode({"spec": one.model_dump(mode="json"), "updated_at_ms": 0})
        made.apply(f"{KIND}/{id}".encode(), value, offset)
    return made


def is_good(key: str, known: Catalogue, now_ms: int = NOW_MS, namespace: str = "hub") -> bool:
    found = holder(key.encode(), namespace, known, now_ms)
    return found is not None and not found.is_over


def test_a_key_is_good_to_the_moment_that_it_says() -> None:
    known = catalogue(short=spec("short", expires_at=at(NOW_MS)), long=spec("long"), off=spec("off", enabled=False))
    assert is_good("short", known, NOW_MS - 1)
    assert not is_good("short", known, NOW_MS)
    assert is_good("long", known, 2**45)
    assert not is_good("off", known)
    assert holder(b"nobody's", "hub", known, NOW_MS) is None
    assert holder(b"\xff\x00", "hub", known, NOW_MS) is None
    assert not is_good("long", known, namespace="other")


def test_of_a_rotated_key_the_old_one_ends_first() -> None:
    first = spec("first", expires_at=at(NOW_MS + 2 * HOUR_MS))
    second = rotated(first, digest(b"second", "hub"), NOW_MS, HOUR_MS)
    known = catalogue(a=second)
    assert [is_good(key, known, NOW_MS + HOUR_MS - 1) for key in ("first", "second")] == [True, True]
    assert [is_good(key, known, NOW_MS + HOUR_MS) for key in ("first", "second")] == [False, True]
    assert [is_good(key, known, NOW_MS + 2 * HOUR_MS) for key in ("first", "second")] == [False, False]
    third = rotated(second, digest(b"third", "hub"), NOW_MS, HOUR_MS)
    assert [is_good(key, catalogue(a=third)) for key in ("first", "second", "third")] == [False, True, True]
    fourth = rotated(third, digest(b"fourth", "hub"), NOW_MS, 0)
    assert [is_good(key, catalogue(a=fourth)) for key in ("third", "fourth")] == [False, True]


def test_a_key_that_was_replaced_is_over_also_if_nobody_has_said_when() -> None:
    known = catalogue(a=spec("new", also=digest(b"old", "hub")))
    assert is_good("new", known)
    assert not is_good("old", known)


def test_keys_are_long_and_each_another_one() -> None:
    keys = {make() for _ in range(100)}
    assert len(keys) == 100
    assert min(map(len, keys)) >= 47


def test_a_definition_that_is_sent_back_as_it_is_shown_keeps_its_hashes() -> None:
    vault = KeyVault()
    old = rotated(spec("first"), digest(b"second", "hub"), NOW_MS, HOUR_MS)
    shown = vault.shown(old.model_dump(mode="json"))
    assert not any(hash in str(shown) for hash in (old.hash, old.also))
    assert vault.sealed(ApiKey.model_validate(shown), old) == old
    changed = ApiKey.model_validate({"roles": ["admin"]})
    assert vault.sealed(changed, old) == changed.model_copy(update={"hash": old.hash}), "`also` was taken out"
    with pytest.raises(ValueError, match="POST /api-keys"):
        vault.sealed(changed, None)


def test_the_command_says_what_a_duration_is() -> None:
    told = CliRunner().invoke(app, ["key", "add", "shop", "--role", "read", "--expires", "soon"])
    assert told.exit_code == 2
    assert "90d" in told.output

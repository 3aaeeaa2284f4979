"""Secrets of bridges: sealed, opened, never shown, and kept when what was shown comes back."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from bridges.registry import BridgeError
from bridges.vault import BridgeVault
from hub.definitions.kinds import Bridge
from hub.definitions.sealed import Seal
from hub.definitions.secrets import SecretKeys, SecretRef, masked, resolve, scrubbed, with_secrets
from hub.errors import Refused


class Inner(BaseModel):
    token: SecretRef = ""


class Settings(BaseModel):
    """Every way in which a setting can be a secret."""

    host: str = ""
    password: Annotated[SecretRef, Field(description="A secret.")] = ""
    key: SecretRef | None = None
    inner: Inner | None = None
    many: list[Inner] = []
    options: Annotated[dict[str, Any], SecretKeys(("password",)), Field(description="Some are.")] = {}


def test_every_secret_is_found_wherever_it_stands() -> None:
    settings = {
        "host": "h",
        "password": "a",
        "key": "b",
        "inner": {"token": "c"},
        "many": [{"token": "d"}, {}],
        "options": {"sasl.password": "e", "sasl.username": "u", "number": 1},
    }
    found: dict[str, str] = {}

    def note(where: str, value: str) -> str:
        found[where] = value
        return value.upper()

    changed = with_secrets(Settings, settings, note, "s")
    assert found == {
        "s.password": "a",
        "s.key": "b",
        "s.inner.token": "c",
        "s.many.0.token": "d",
        "s.options.sasl.password": "e",
    }
    assert changed["options"] == {"sasl.password": "E", "sasl.username": "u", "number": 1}
    assert (changed["host"], settings["password"]) == ("h", "a")


def test_a_plain_secret_is_refused_and_not_repeated() -> None:
    for settings in ({"password": "hush"}, {"inner": {"token": "hush"}}):
        with pytest.raises(ValidationError) as caught:
            Settings.model_validate(settings)
        assert all("hush" not in error["msg"] for error in caught.value.errors())
    Settings.model_validate({"password": "env:X", "key": Seal("k").seal("x")})


def test_what_is_sealed_is_opened_with_the_key_only() -> None:
    sealed = Seal("key").seal("hush")
    assert "hush" not in sealed
    assert sealed != Seal("key").seal("hush")
    assert resolve(sealed, {"HUB_SECRET_KEY": "key"}) == "hush"
    with pytest.raises(Refused, match="set HUB_SECRET_KEY"):
        resolve(sealed, {})
    with pytest.raises(Refused, match="same HUB_SECRET_KEY"):
        resolve(sealed, {"HUB_SECRET_KEY": "another"})
    with pytest.raises(Refused, match="damaged"):
        resolve(sealed[:-4] + "AAAA", {"HUB_SECRET_KEY": "key"})


def test_a_reference_is_looked_up_and_the_hubs_own_secrets_are_not_given_away() -> None:
    assert resolve("env:X", {"X": "hush"}) == "hush"
    assert resolve("plain", {}) == "plain"
    with pytest.raises(Refused, match="variable X"):
        resolve("env:X", {})
    for name in ("HUB_SECRET_KEY", "HUB_ADMIN_KEY", "HUB_IDENTITY__KEY"):
        with pytest.raises(Refused, match="own secret"):
            resolve(f"env:{name}", {name: "hush"})


def test_words_for_people_have_no_secret_in_them() -> None:
    assert masked("no amqp://ann:hush@host:1/x and http://host/a@b") == "no amqp://ann:***@host:1/x and http://host/a@b"
    assert (
        scrubbed("login ann hush at redis://:pw@h failed", ["hush", "ann"]) == "login ann *** at redis://:***@h failed"
    )


def bridge(**options: str) -> Bridge:
    settings = {"bootstrap": "b", "topics": "t", "options": options}
    return Bridge(type="kafka", source="shop", settings=settings)


def password(spec: Bridge) -> str:
    value: str = spec.settings["options"]["sasl.password"]
    return value


def test_the_vault_seals_what_is_plain_and_keeps_what_was_shown() -> None:
    vault = BridgeVault("key")
    first = vault.sealed(bridge(**{"sasl.password": "hush", "sasl.username": "ann"}), None)
    assert Seal("key").open(password(first)) == "hush"
    assert first.settings["options"]["sasl.username"] == "ann"
    shown = vault.shown(first.model_dump())
    assert shown["settings"]["options"] == {"sasl.password": "sealed", "sasl.username": "ann"}
    assert vault.sealed(Bridge.model_validate(shown), first) == first
    # what is sealed already, as when a definition is published again, stays
    assert vault.sealed(first, first) == first
    assert password(vault.sealed(bridge(**{"sasl.password": "env:X"}), first)) == "env:X"
    assert Seal("key").open(password(vault.sealed(bridge(**{"sasl.password": "new"}), first))) == "new"


@pytest.mark.parametrize("old", [None, bridge()])
def test_a_placeholder_without_anything_behind_it_is_refused(old: Bridge | None) -> None:
    for value in ("sealed", Seal("key").seal("somebody else's")):
        with pytest.raises(BridgeError, match=r"settings\.options\.sasl\.password"):
            BridgeVault("key").sealed(bridge(**{"sasl.password": value}), old)


def test_a_url_that_comes_back_as_it_is_shown_keeps_its_password() -> None:
    vault = BridgeVault("key")
    url = "http://ann:hush@proxy:1"
    old = bridge(**{"some.url": url})
    shown = vault.shown(old.model_dump())
    assert shown["settings"]["options"]["some.url"] == "http://ann:***@proxy:1"
    assert vault.sealed(Bridge.model_validate(shown), old) == old


def test_a_plain_secret_that_got_onto_the_log_some_other_way_is_not_shown() -> None:
    shown = BridgeVault("key").shown(bridge(**{"sasl.password": "hush"}).model_dump())
    assert shown["settings"]["options"] == {"sasl.password": "sealed"}

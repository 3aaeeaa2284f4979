"""Secrets by reference: read where they may be, and never part of an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.__main__ import app
from hub.definitions.secrets import FOLDER, is_reference, resolve
from hub.errors import Refused
from hub.references import MOST_BYTES, NoReference, everywhere, read
from hub.settings import Redis, Settings


def test_settings_are_variables_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("hush\n")
    monkeypatch.setenv("OTHER", "hush-hush")
    monkeypatch.setenv("HUB_ADMIN_KEY", "env:OTHER")
    monkeypatch.setenv("HUB_KAFKA__OPTIONS", f'{{"sasl.password": "file:{tmp_path / "password"}", "retries": 3}}')
    monkeypatch.setenv("HUB_REDIS__URL", "rediss://valkey.example:6380/1")
    monkeypatch.setenv("HUB_REDIS__PASSWORD", f"file:{tmp_path / 'password'}")
    settings = Settings()
    assert settings.admin_key is not None
    assert settings.admin_key.get_secret_value() == "hush-hush"
    assert settings.kafka.options == {"sasl.password": "hush", "retries": 3}
    assert settings.redis.address == "rediss://:hush@valkey.example:6380/1"
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HUB_ADMIN_KEY", "file:/nowhere/hush", "file:/nowhere/hush cannot be read"),
        ("HUB_REDIS__PASSWORD", "env:NOT_THERE", "HUB_REDIS__PASSWORD: env:NOT_THERE refers to a variable"),
        ("HUB_KAFKA__OPTIONS", '{"sasl.password": "env:NOT_THERE"}', "env:NOT_THERE"),
        ("HUB_KAFKA__OPTIONS", '{"sasl.password": "planted', "no JSON"),
        ("HUB_KAFKA__OPTIONS", '{"sasl.password": ["planted"]}', "HUB_KAFKA__OPTIONS"),
        ("HUB_API__PORT", "planted", "HUB_API__PORT"),
        ("HUB_REDIS__URL", "http://:planted@x", "rediss://"),
    ],
)
def test_a_setting_that_is_wrong_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 78
    assert words in done.output
    assert "planted" not in done.output


def test_files_of_definitions_are_in_their_folder(tmp_path: Path) -> None:
    folder, outside = tmp_path / "secrets", tmp_path / "outside"
    (folder / "..data").mkdir(parents=True)
    (folder / "..data" / "kafka").write_text("hush\r\n")
    (folder / "kafka").symlink_to(folder / "..data" / "kafka")  # as Kubernetes mounts them
    outside.write_text("not for them")
    (folder / "link").symlink_to(outside)
    environ = {FOLDER: str(folder)}
    assert resolve("file:kafka", environ) == "hush"
    assert resolve(f"file:{folder}/kafka", environ) == "hush"
    assert is_reference("file:kafka")
    for name in ("../outside", str(outside), "link", "/etc/passwd", "nothing", "..data", "a\0b"):
        with pytest.raises(Refused) as error:
            resolve(f"file:{name}", environ)
        assert "not for them" not in str(error.value)
    with pytest.raises(Refused, match=FOLDER):
        resolve("file:kafka", {})


@pytest.mark.parametrize(
    "name", ["HUB_KAFKA__OPTIONS", "HUB_STORE__URL", "HUB_REDIS__PASSWORD", "HUB_API__KEY_PASSWORD"]
)
def test_no_variable_of_the_hubs_own_is_given_away(name: str) -> None:
    with pytest.raises(Refused, match="own secret") as error:
        resolve(f"env:{name}", {name: "hush"})
    assert "hush" not in str(error.value)


def test_what_is_no_secret_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"a" * (MOST_BYTES + 1))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name in ("large", "bytes"):
        with pytest.raises(NoReference, match=name):
            read(f"file:{tmp_path / name}", {})
    assert everywhere({"a": ["env:X", 1, None, "plain"]}, {"X": "1"}) == {"a": ["1", 1, None, "plain"]}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"password": "p"}, "go with a url"),
        ({"url": "redis://:p@h/0", "password": "p"}, "none of its own"),
        ({"url": "redis://h/0", "ca_file": "ca.pem"}, "rediss://"),
        ({"url": "rediss://h/0", "cert_file": "c.pem"}, "go together"),
        ({"url": "http://h"}, "redis://host"),
    ],
)
def test_settings_of_redis_that_do_not_go_together(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Redis.model_validate(given)


def test_the_address_of_redis_has_all_of_it() -> None:
    given = {
        "url": "rediss://valkey:1/2",
        "username": "a:b",
        "password": "p@/?#",
        "ca_file": "/x y/ca.pem",
        "cert_file": "/c.pem",
        "key_file": "/k.pem",
    }
    assert Redis.model_validate(given).address == (
        "rediss://a%3Ab:p%40%2F%3F%23@valkey:1/2?ssl_ca_certs=%2Fx+y%2Fca.pem&ssl_certfile=%2Fc.pem&ssl_keyfile=%2Fk.pem"
    )
    assert Redis().address == ""

"""The API's certificate: with a passphrase, and what is said if it is wrong; never the passphrase itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import SecretStr

from hub.api.tls import Tls
from hub.errors import Refused
from hub.settings import Api
from tests.servers import tls

PASSPHRASE = "planted-passphrase"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A certificate, and its key behind a passphrase."""
    tls.make(tmp_path)
    key = serialization.load_pem_private_key((tmp_path / "server.key").read_bytes(), None)
    locked = serialization.BestAvailableEncryption(PASSPHRASE.encode())
    (tmp_path / "locked.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    return tmp_path


def api(folder: Path, key: str, passphrase: str | None) -> Api:
    password = None if passphrase is None else SecretStr(passphrase)
    return Api(cert_file=folder / "server.pem", key_file=folder / key, key_password=password)


def test_a_key_behind_a_passphrase(files: Path) -> None:
    opened = Tls(api(files, "locked.key", PASSPHRASE))
    assert opened.read_again()
    (files / "locked.key").write_bytes((files / "client.key").read_bytes())
    assert not opened.read_again(), "it is another one's key"


@pytest.mark.parametrize("passphrase", [None, "", "wrong-passphrase"])
def test_without_its_passphrase_it_is_refused_and_nobody_is_asked(files: Path, passphrase: str | None) -> None:
    with pytest.raises(Refused, match="passphrase") as error:
        Tls(api(files, "locked.key", passphrase))
    assert "wrong-passphrase" not in str(error.value)
    assert PASSPHRASE not in repr(api(files, "locked.key", PASSPHRASE))


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nnone\n", b"\x00\x01"])
def test_what_is_no_certificate_is_refused(files: Path, content: bytes) -> None:
    (files / "server.pem").write_bytes(content)
    with pytest.raises(Refused, match="HUB_API__CERT_FILE"):
        Tls(api(files, "server.key", None))

"""Files and processes, as `hub doctor` sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hub.doctor.finding import Finding, carefully
from hub.doctor.machine import certificates, files, keys
from hub.doctor.processes import of_hub_up
from hub.errors import Unavailable
from hub.settings import Api, Kafka, Settings
from hub.stack.keys import NAME, admin_key
from hub.stack.state import ProcessState

NOW = datetime(2030, 5, 1, tzinfo=UTC)


def certificate(path: Path, ends: datetime) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=900))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


def test_certificates_by_the_days_that_they_are_valid_for(tmp_path: Path) -> None:
    for days, level in ((-1, "fail"), (10, "warn"), (100, "ok")):
        path = certificate(tmp_path / f"{days}.pem", NOW + timedelta(days=days))
        settings = Settings(
            data=tmp_path,
            api=Api(cert_file=path, key_file=path),
            kafka=Kafka(bootstrap="k:1", options={"ssl.ca.location": str(path)}),
        )
        found = list(certificates(settings, NOW))
        assert [one.level for one in found] == [level, level]
        assert "HUB_API__CERT_FILE" in found[0].detail
        assert "ssl.ca.location" in found[1].detail


def test_certificates_that_are_not_there_or_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for name in ("nowhere", "text"):
        settings = Settings(data=tmp_path, api=Api(ca_file=tmp_path / name))
        (found,) = certificates(settings, NOW)
        assert (found.level, bool(found.mend)) == ("fail", True)


def test_a_key_that_others_may_read(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert list(keys(settings)) == []
    key = admin_key(None, tmp_path)
    assert [one.level for one in keys(settings)] == ["ok"]
    (tmp_path / NAME).chmod(0o644)
    (found,) = keys(settings)
    assert (found.level, found.mend) == ("fail", f"chmod 600 {tmp_path / NAME}")
    assert key not in repr(found)


def test_more_connections_than_files(tmp_path: Path) -> None:
    (found,) = files(Settings(data=tmp_path, api=Api(connections=1_000_000_000)))
    assert (found.level, "HUB_API__CONNECTIONS" in found.mend) in {("warn", True), ("ok", False)}  # ok: no limit at all


def test_a_check_that_cannot_look_is_a_finding() -> None:
    def away() -> list[Finding]:
        raise Unavailable("kafka", "no answer")

    def broken() -> list[Finding]:
        raise ZeroDivisionError

    assert [one.level for one in carefully("topics", away)] == ["fail"]
    assert [one.level for one in carefully("topics", broken)] == ["warn"]


def test_a_server_that_has_stopped_answering_is_not_well() -> None:
    kafka = ProcessState(name="kafka", state="not ready", pid=1, port=9092, restarts=0, started_at_ms=0, last_exit="")
    found = of_hub_up(kafka, "http")
    assert (found.level, found.detail) == ("fail", "not ready")
    assert "logs/kafka.log" in found.mend

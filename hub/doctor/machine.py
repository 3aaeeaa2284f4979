"""This machine: limits of the process, keys and certificates in files."""

from __future__ import annotations

import resource
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from hub.doctor.finding import FAIL, OK, WARN, Finding, Level
from hub.settings import Settings
from hub.stack.keys import IDENTITY, NAME, SECRET

OTHER_FILES: Final = 500
"""Of the store, Kafka, Redis and logs, roughly."""
SOON: Final = timedelta(days=30)
OF_KAFKA: Final = ("ssl.ca.location", "ssl.certificate.location")


def files(settings: Settings) -> Iterator[Finding]:
    """How many files and connections a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.api.connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        yield Finding(
            WARN,
            "open files",
            f"a process may have {hard:,}; an API of {settings.api.connections:,} connections needs {wanted:,}",
            "Raise the hard limit (ulimit -Hn, LimitNOFILE of systemd), or lower HUB_API__CONNECTIONS",
        )
    else:
        yield Finding(OK, "open files", f"up to {_number(hard)} ({_number(soft)} unless a process asks for more)")


def _number(limit: int) -> str:
    return "any number" if limit == resource.RLIM_INFINITY else f"{limit:,}"


def keys(settings: Settings) -> Iterator[Finding]:
    """Those that the hub has made itself: nobody else may read them."""
    for name in (NAME, IDENTITY, SECRET):
        path = settings.data / name
        if not path.exists():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield Finding(FAIL, f"key {path}", f"others may read or change it: mode {mode:o}", f"chmod 600 {path}")
        elif not path.read_text(encoding="ascii", errors="replace").strip():
            yield Finding(FAIL, f"key {path}", "is empty", "Bring it back from a backup; without one, delete it")
        else:
            yield Finding(OK, f"key {path}", f"there, mode {mode:o}")


def certificates(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Of every PEM file that the settings name. Args: now: with its zone."""
    for name, path in _named(settings):
        yield _of_file(name, path, now)


def _named(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Setting and file."""
    parts: Mapping[str, Any] = {
        "HUB_API__CERT_FILE": settings.api.cert_file,
        "HUB_API__CA_FILE": settings.api.ca_file,
        "HUB_REDIS__CERT_FILE": settings.redis.cert_file,
        "HUB_REDIS__CA_FILE": settings.redis.ca_file,
        "HUB_STORE__CA_FILE": getattr(settings.store, "ca_file", None),
        "HUB_FLOWS__CA_FILE": settings.flows.ca_file,
    }
    yield from ((name, Path(path)) for name, path in parts.items() if path)
    for option in OF_KAFKA:
        path = settings.kafka.options.get(option)
        if path:
            yield f"HUB_KAFKA__OPTIONS {option}", Path(str(path))


def _of_file(name: str, path: Path, now: datetime) -> Finding:
    subject = f"certificate {path}"
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as exc:
        return Finding(FAIL, subject, f"{name}: cannot be read: {exc.strerror}", "Mend the path or its rights")
    except ValueError as exc:
        return Finding(FAIL, subject, f"{name}: is no PEM file: {exc}", "Give a file with -----BEGIN CERTIFICATE-----")
    first = min(found, key=lambda one: one.not_valid_after_utc)
    ends = first.not_valid_after_utc
    level: Level = FAIL if ends <= now else WARN if ends - now < SOON else OK
    begins = max(one.not_valid_before_utc for one in found)
    if begins > now:
        return Finding(
            FAIL, subject, f"{name}: valid from {begins:%Y-%m-%d %H:%M} UTC on", "Is this machine's clock right?"
        )
    words = f"{name}: {'has expired' if level == FAIL else 'valid until'} {ends.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return Finding(level, subject, words, "" if level == OK else "Renew it; the API takes a new file by itself")

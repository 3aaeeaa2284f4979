"""Redis or Valkey: there, keeps what it acknowledges, throws nothing away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

from hub.doctor.finding import FAIL, OK, WARN, Finding
from hub.errors import Unavailable
from hub.redis import client, translated

FULL: Final = 0.9
BLIND_S: Final = 1.0
"""Clocks that are so far apart are no matter."""
FAR_S: Final = 5.0


def redis(url: str, now_s: Any) -> Iterator[Finding]:
    """Args: url: with its password. now_s: the clock, seconds since 1970."""
    try:
        with closing(client(url)) as asked, translated():
            info: dict[str, Any] = asked.info()
            before = now_s()
            seconds, micros = asked.time()
            between = (before + now_s()) / 2
    except Unavailable as exc:
        yield Finding(FAIL, "Redis", exc.detail, "Check HUB_REDIS__URL and its password, and that the server runs")
        return
    name = "Valkey" if "valkey_version" in info else "Redis"
    yield Finding(OK, "Redis", f"{name} {info.get('valkey_version', info.get('redis_version', ''))} answers")
    yield _kept(info)
    yield _room(info)
    yield _clock(between - (seconds + micros / 1e6))


def _kept(info: dict[str, Any]) -> Finding:
    if info.get("loading"):
        return Finding(WARN, "Redis persistence", "it is reading its files", "Wait until it has")
    if not info.get("aof_enabled"):
        why = "appendonly is off: who runs which bridge, how far heartbeats are and jobs are gone when it ends"
        return Finding(WARN, "Redis persistence", why, "Set appendonly yes, and appendfsync everysec")
    if info.get("aof_last_write_status", "ok") != "ok":
        return Finding(
            FAIL, "Redis persistence", "it cannot write its append-only file", "Make room on its disk; see its log"
        )
    return Finding(OK, "Redis persistence", "append-only file")


def _room(info: dict[str, Any]) -> Finding:
    policy, most, used = (
        info.get("maxmemory_policy", "unknown"),
        int(info.get("maxmemory", 0)),
        int(info["used_memory"]),
    )
    if policy != "noeviction":
        why = f"maxmemory-policy is {policy}: it throws away leases and jobs when it is full"
        return Finding(FAIL if most else WARN, "Redis memory", why, "Set maxmemory-policy noeviction")
    if most and used > FULL * most:
        why = f"{used / 1e6:.0f} of {most / 1e6:.0f} MB are used"
        return Finding(WARN, "Redis memory", why, "Raise maxmemory: when it is full, nothing can be written")
    return Finding(OK, "Redis memory", f"{used / 1e6:.0f} MB used, noeviction")


def _clock(ahead_s: float) -> Finding:
    words = f"this machine's clock is {abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} that of Redis"
    if abs(ahead_s) <= BLIND_S:
        return Finding(OK, "clock", "the same as that of Redis, within a second")
    mend = "Have both follow a time server (chrony, systemd-timesyncd)"
    return Finding(FAIL if abs(ahead_s) > FAR_S else WARN, "clock", words, mend)

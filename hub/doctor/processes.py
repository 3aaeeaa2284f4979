"""The processes: what says each of itself?"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import msgspec

from hub.doctor.finding import FAIL, OK, WARN, Finding
from hub.settings import Settings
from hub.stack import state
from hub.stack.state import ProcessState

ANSWER_S: Final = 5.0
SERVERS: Final = ("kafka", "valkey")
"""Of `hub up`, which are looked at by other checks."""
HERE: Final = "127.0.0.1"


def processes(settings: Settings) -> Iterator[Finding]:
    """Those of `hub up` on the data folder; else what listens where the settings say."""
    run = state.read(settings.data) if settings.data.exists() else None
    if run is not None:
        for process in run.processes:
            yield of_hub_up(process, settings.api.scheme if process.name == "api" else "http")
        return
    if not settings.kafka.bootstrap:
        yield Finding(OK, "processes", f"no hub runs on {settings.data}: `hub up` starts one")
        return
    found = [("api", settings.api.host, settings.api.port, settings.api.scheme)]
    if settings.health.port:
        found.append(("health port", settings.health.host, settings.health.port, "http"))
    for name, host, port, scheme in found:
        answer = _ready(_reachable(host), port, scheme)
        if answer is None:
            mend = "Nothing, if it runs elsewhere or is to be started yet"
            yield Finding(WARN, f"process {name}", f"nobody answers at {host} port {port}", mend)
        else:
            yield _told(name, answer)


def of_hub_up(process: ProcessState, scheme: str) -> Finding:
    """One of them. Args: scheme: http or https, at its port."""
    subject = f"process {process.name}"
    log = f"logs/{process.name}.log in the data folder says why"
    if process.state in ("failed", "waiting", "stopped"):
        why = f"{process.state}, after {process.restarts} restarts; it ended with: {process.last_exit}"
        return Finding(FAIL, subject, why, log)
    if process.state == "starting":
        return Finding(WARN, subject, "starting", "Look again in a moment")
    if process.name not in SERVERS and process.port:
        answer = _ready(HERE, process.port, scheme)
        if answer is None:
            return Finding(FAIL, subject, f"does not answer at its port {process.port}", log)
        found = _told(process.name, answer)
        if found.level != OK:
            return found
    away = process.name in SERVERS and process.state != "ready"
    if process.restarts and not away:
        return Finding(
            WARN, subject, f"{process.state}; started again {process.restarts} times, last: {process.last_exit}", log
        )
    return Finding(FAIL if away else OK, subject, process.state, log if away else "")


def _told(name: str, answer: dict[str, Any]) -> Finding:
    subject = f"process {name}"
    if not answer.get("ready"):
        said = answer.get("failed") or answer.get("waiting_for") or answer.get("trouble") or answer.get("detail")
        return Finding(FAIL, subject, f"is not ready: {_words(said) or 'it does not say why'}", "Its log says more")
    broken = [
        f"{one.get('bridge') or one.get('destination') or one.get('id')}: {one['state']}: {one.get('last_error', '')}"
        for family in ("bridges", "destinations")
        for one in answer.get(family, ())
        if one.get("state") == "failed"
    ]
    if broken:
        return Finding(WARN, subject, f"ready, but {'; '.join(broken)}", "`hub bridge list`, `hub destination list`")
    if answer.get("trouble"):
        return Finding(WARN, subject, f"ready, but: {_words(answer['trouble'])}", "Its log says more")
    return Finding(OK, subject, "ready")


def _words(said: Any) -> str:
    if isinstance(said, dict):
        return "; ".join(f"{name}: {why}" for name, why in said.items())
    return "; ".join(map(str, said)) if isinstance(said, list) else str(said or "")


def _ready(host: str, port: int, scheme: str) -> dict[str, Any] | None:
    """What /ready says; None: nobody is there."""
    connection: http.client.HTTPConnection
    if scheme == "https":
        # whose certificate it is is looked at elsewhere; the name in it is seldom that of this address
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=ANSWER_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=ANSWER_S)
    with closing(connection):
        try:
            connection.request("GET", "/ready")
            answer = msgspec.json.decode(connection.getresponse().read())
        except (OSError, http.client.HTTPException, msgspec.DecodeError):
            return None
    return answer if isinstance(answer, dict) else None


def _reachable(host: str) -> str:
    return HERE if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - it is compared, not listened on

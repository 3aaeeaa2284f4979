"""
Is the hub's process of this container alive, or ready? `python -m hub.probe [live|ready]`: exit code 0 or 1.

For images, which have no curl, and often: it imports nothing of the hub's and nothing that takes long.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Final

TIMEOUT_S: Final = 4.0
"""Below the five seconds that container engines are told to wait."""
ROUTES: Final = ("live", "ready")
HERE: Final = "127.0.0.1"


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Ask, print the answer, return the exit code. Args: arguments: which route; `live` if there is none."""
    route = arguments[0] if arguments else ROUTES[0]
    if route not in ROUTES:
        print(f"there is no probe {route!r}; known: {', '.join(ROUTES)}", file=sys.stderr)  # noqa: T201
        return 2
    answers = []
    for connection in _doors(environ):
        try:
            status, text = _asked(connection, f"/{route}")
        except OSError as exc:
            answers.append(f"port {connection.port}: {exc}")
            continue
        print(text)  # noqa: T201 - container engines keep it with the state
        return 0 if status == http.client.OK else 1
    print("; ".join(answers), file=sys.stderr)  # noqa: T201
    return 1


def _doors(environ: Mapping[str, str]) -> list[http.client.HTTPConnection]:
    """Where it may answer: the health port, or that of the API, which has none."""
    doors: list[http.client.HTTPConnection] = []
    if int(port := environ.get("HUB_HEALTH__PORT") or "0"):
        doors.append(http.client.HTTPConnection(HERE, int(port), timeout=TIMEOUT_S))
    own = int(environ.get("HUB_API__PORT") or "8686")
    if environ.get("HUB_API__CERT_FILE"):
        # whether it lives is asked of ourselves, over loopback, where the certificate's name is nobody's
        trusting = ssl._create_unverified_context()  # noqa: S323
        doors.append(http.client.HTTPSConnection(HERE, own, timeout=TIMEOUT_S, context=trusting))
    else:
        doors.append(http.client.HTTPConnection(HERE, own, timeout=TIMEOUT_S))
    return doors


def _asked(connection: http.client.HTTPConnection, path: str) -> tuple[int, str]:
    """Status and body. Raises OSError: nobody listens, or no answer comes."""
    with closing(connection):
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read(10_000).decode(errors="replace")
        except http.client.HTTPException as exc:
            raise OSError(f"no answer in HTTP: {exc!r}") from exc


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

"""
ClickHouse's engine behind its HTTP interface: `python -m tests.servers.chdb_http PORT FOLDER`.

Where servers are packaged there is none of today, but its engine is there as a library, `chdb`: tables, types, insert
tokens and errors are ClickHouse's own. The door in front is this file: one user, one query at a time.
"""

from __future__ import annotations

import base64
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session

from tests.servers.clickhouse import PASSWORD, USER

NO_SETTINGS: Final = frozenset(
    {"query", "database", "default_format", "client_protocol_version", "session_id", "query_id", "wait_end_of_query"}
)
"""Parameters of a request that are about the request itself."""
WRONG_PASSWORD: Final = 516
STATUS: Final = {WRONG_PASSWORD: 403, 60: 404, 81: 404, 497: 403}
"""HTTP status by code of an error, where it is not 500."""
_INSERT: Final = re.compile(r"\s*INSERT\s", re.IGNORECASE)
_FORMAT: Final = re.compile(r"\sFORMAT\s+\w+\s")
_LAST_FORMAT: Final = re.compile(r"\sFORMAT\s+(\w+)\s*$", re.IGNORECASE)
_CODE: Final = re.compile(r"Code: (\d+)")


class Engine:
    """One session of the engine, with its tables in a folder."""

    def __init__(self, folder: str) -> None:
        self._session = Session(folder)
        self._turn = threading.Lock()

    def answer(self, parameters: dict[str, str], body: bytes) -> tuple[bytes, str]:
        """Raises RuntimeError, with the engine's words."""
        query = "\n".join(part for part in (parameters.get("query", ""), body.decode()) if part)
        settings = {name: value for name, value in parameters.items() if name not in NO_SETTINGS}
        wanted = parameters.get("default_format", "TabSeparated")
        if _INSERT.match(query):
            place = _FORMAT.search(query)  # the rows stand behind it
            assert place is not None, query
            query = f"{query[: place.start()]}{_settings(settings)}{query[place.start() :]}"
        else:
            named = _LAST_FORMAT.search(query)
            if named is not None:
                wanted, query = named[1], query[: named.start()]
        with self._turn:
            found: Any = self._session.query(query, wanted)
        return (found.bytes() if found is not None else b""), wanted


def _settings(settings: dict[str, str]) -> str:
    text = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
    return f" SETTINGS {text}" if text else ""


class Door(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    engine: Engine

    def do_GET(self) -> None:
        self._say(200, b"Ok.\n")

    def do_POST(self) -> None:
        body = self._body()
        if not self._knows():
            self._fail(f"Code: {WRONG_PASSWORD}. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
            return
        try:
            answer, format = self.engine.answer(dict(parse_qsl(urlsplit(self.path).query)), body)
        except RuntimeError as exc:
            self._fail(str(exc))
        else:
            self._say(200, answer, {"X-ClickHouse-Format": format, "X-ClickHouse-Timezone": "UTC"})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _knows(self) -> bool:
        said = self.headers.get("Authorization", "").removeprefix("Basic ")
        return base64.b64decode(said).decode() == f"{USER}:{PASSWORD}"

    def _fail(self, words: str) -> None:
        found = _CODE.search(words)
        code = int(found[1]) if found else 1002
        self._say(STATUS.get(code, 500), words.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main(port: int, folder: str) -> None:
    os.environ["TZ"] = "UTC"
    Door.engine = Engine(folder)
    ThreadingHTTPServer(("127.0.0.1", port), Door).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

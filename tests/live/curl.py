"""The part of curl that the documentation uses: the same on every machine, and stricter than the real one.

An answer of 400 or above ends it with 22, as `curl --fail` does; write `-i` where the page wants to show a refusal. A
document that is not there yet is asked for again: the collector needs a moment, and a reader needs longer than that to
type the next command. The port that the pages name is the default one; here it is HUB_API__PORT.

It is started a hundred times in a test run, so it imports nothing but a little of the standard library.
"""

from __future__ import annotations

import argparse
import http.client
import os
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote_plus, urlsplit

FORM: Final = "application/x-www-form-urlencoded"
DEFAULT_PORT: Final = 8686
TIMEOUT_S: Final = 30.0
WITHIN_S: Final = 20.0
"""So long a document may not be there yet."""


class Answer(NamedTuple):
    """`head` is as `-i` shows it."""

    status: int
    head: str
    content: bytes


def arguments() -> argparse.Namespace:
    """Those of the command line; one that is not known here is an error, to be added."""
    parser = argparse.ArgumentParser("curl", allow_abbrev=False)
    for flags in (("-s", "--silent"), ("-S", "--show-error"), ("-f", "--fail"), ("-i", "--include"), ("-G", "--get")):
        parser.add_argument(*flags, action="store_true")
    parser.add_argument("-X", "--request")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-d", "--data", dest="data", action="append", type=_data)
    parser.add_argument("--data-binary", dest="data", action="append", type=_bytes)
    parser.add_argument("--data-urlencode", dest="data", action="append", type=_encoded)
    parser.add_argument("url")
    return parser.parse_args()


def _bytes(text: str) -> bytes:
    if text == "@-":
        return sys.stdin.buffer.read()
    return Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()


def _data(text: str) -> bytes:
    content = _bytes(text)
    return content.replace(b"\r", b"").replace(b"\n", b"") if text.startswith("@") else content


def _encoded(text: str) -> bytes:
    name, equals, content = text.partition("=") if "=" in text else ("", "", text)
    return f"{name}{equals}{quote_plus(content)}".encode()


def ask(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    """One request, on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, headers)
        found = connection.getresponse()
        fields = "".join(f"{name.lower()}: {content}\n" for name, content in found.getheaders())
        return Answer(found.status, f"HTTP/1.1 {found.status} {found.reason}\n{fields}\n", found.read())
    finally:
        connection.close()


def main() -> None:
    """Ask, print, exit."""
    given = arguments()
    url = given.url.replace(f":{DEFAULT_PORT}", f":{os.environ['HUB_API__PORT']}")
    if "://" not in url:
        url = f"http://{url}"
    body = b"&".join(given.data) if given.data else None
    if given.get and body is not None:
        url, body = f"{url}{'&' if '?' in url else '?'}{body.decode()}", None
    method = given.request or ("GET" if body is None else "POST")
    headers = {} if body is None else {"Content-Type": FORM}
    for line in given.header:
        name, _, content = line.partition(":")
        headers[name.strip().title()] = content.strip()

    deadline = time.monotonic() + WITHIN_S
    answer = ask(method, url, body, headers)
    while answer.status == 404 and method == "GET" and not given.include and time.monotonic() < deadline:
        time.sleep(0.05)
        answer = ask(method, url, body, headers)
    content = (answer.head.encode() if given.include else b"") + answer.content
    if given.output:
        given.output.write_bytes(content)
    else:
        # curl adds no end of line; without one the answers of a block would run into each other
        sys.stdout.buffer.write(content + b"\n")
    if answer.status >= 400 and not given.include:
        sys.stderr.write(f"curl: {answer.status} from {method} {url}\n")
        sys.exit(22)


if __name__ == "__main__":
    main()

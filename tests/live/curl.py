"""The part of curl that the documentation uses: the same on every machine, and stricter than the real one.

An answer of 400 or above ends it with 22, as `curl --fail` does; write `-i` where the page wants to show a refusal. A
document that is not there yet is asked for again: the collector needs a moment, and a reader needs longer than that to
type the next command. The port that the pages name is the default one; here it is HUB_API__PORT.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import quote_plus

import httpx

from hub.settings import Api
from tests.kafka_tools import eventually

FORM = "application/x-www-form-urlencoded"


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


def main() -> None:
    """Ask, print, exit."""
    given = arguments()
    default = f":{Api().port}"
    url = given.url.replace(default, f":{os.environ['HUB_API__PORT']}")
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

    def answer() -> httpx.Response | None:
        found = httpx.request(method, url, content=body, headers=headers, timeout=30)
        return None if found.status_code == 404 and method == "GET" and not given.include else found

    response = eventually(answer, 20)
    assert response is not None
    head = ""
    if given.include:
        fields = "".join(f"{name}: {content}\n" for name, content in response.headers.items())
        head = f"{response.http_version} {response.status_code} {response.reason_phrase}\n{fields}\n"
    if given.output:
        given.output.write_bytes(head.encode() + response.content)
    else:
        # curl adds no end of line; without one the answers of a block would run into each other
        sys.stdout.buffer.write(head.encode() + response.content + b"\n")
    if response.is_error and not given.include:
        sys.stderr.write(f"curl: {response.status_code} from {method} {url}\n")
        sys.exit(22)


if __name__ == "__main__":
    main()

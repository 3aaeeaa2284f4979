"""Chromium for tests, driven by `browsing.mjs`; and a site on another origin than the hub, whose pages it opens."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, Final

from tests.clients.installed import Installed

BROWSING: Final = Path(__file__).with_name("browsing.mjs")


class Page:
    """A tab."""

    def __init__(self, browser: Browser, number: int) -> None:
        """Args: number: what the browser calls it."""
        self._browser = browser
        self._number = number

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        return self._browser.do("evaluate", page=self._number, script=script)

    def until(self, script: str) -> None:
        """Wait until an expression is true there; fails after 90 s."""
        self._browser.do("until", page=self._number, script=script)

    def when(self, script: str) -> float:
        """As `until`, looked at in each frame. Returns when, in ms by `performance.now()` of the page."""
        at: float = self._browser.do("when", page=self._number, script=script)
        return at

    def go(self, url: str) -> None:
        """To another page, in the same tab."""
        self._browser.do("go", page=self._number, url=url)

    def click(self, selector: str) -> str:
        """Follow a link; the URL that it leads to."""
        url: str = self._browser.do("click", page=self._number, selector=selector)
        return url

    def tap(self, selector: str) -> None:
        """Click on what a selector of puppeteer finds (`::-p-text(Log in)` too); waits for it, not for what it does."""
        self._browser.do("tap", page=self._number, selector=selector)

    def drag(self, selector: str, begin: float, end: float) -> None:
        """With the mouse over an element. Args: begin, end: parts of its width, from 0 to 1."""
        self._browser.do("drag", page=self._number, selector=selector, **{"from": begin, "to": end})

    def type(self, text: str) -> None:
        """On the keyboard, into what has the focus."""
        self._browser.do("type", page=self._number, text=text)

    def press(self, *keys: str) -> None:
        """Keys, one after the other, such as `Tab` or `Control+k`."""
        for each in keys:
            self._browser.do("press", page=self._number, keys=each)

    def size(self, width: int, height: int) -> None:
        """Of the window, in pixels."""
        self._browser.do("size", page=self._number, width=width, height=height)

    def scheme(self, *, dark: bool) -> None:
        """Which colours the system prefers."""
        self._browser.do("scheme", page=self._number, dark=dark)

    def picture(self, path: Path) -> None:
        """What is to be seen, as PNG."""
        self._browser.do("picture", page=self._number, path=str(path))

    def cookies(self) -> list[dict[str, Any]]:
        """Those of the page, also what scripts cannot read."""
        found: list[dict[str, Any]] = self._browser.do("cookies", page=self._number)
        return found

    def offline(self, yes: bool) -> None:
        """Cut the tab off from the network, or not any longer."""
        self._browser.do("offline", page=self._number, yes=yes)

    def close(self) -> None:
        """Close the tab; what the page has on its way goes on or does not."""
        self._browser.do("close", page=self._number)


class Browser:
    """One with cookies and storage of its own."""

    def __init__(self, to: IO[str], said: IO[str]) -> None:
        """Args: to, said: input and output of `browsing.mjs`."""
        self._to = to
        self._said = said

    def do(self, action: str, **how: Any) -> Any:
        """See `browsing.mjs`."""
        self._to.write(json.dumps({"action": action, **how}) + "\n")
        self._to.flush()
        answer = json.loads(self._said.readline())
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def open(self, url: str, before: str = "") -> Page:
        """A new tab. Args: before: a script that runs in each of its pages before the page's own."""
        return Page(self, self.do("open", url=url, before=before))

    def asked(self) -> list[str]:
        """The URL of every request that pages made."""
        urls: list[str] = self.do("asked")
        return urls

    def said(self) -> list[str]:
        """What pages wrote to the console, and errors that nobody caught."""
        lines: list[str] = self.do("said")
        return lines


@contextmanager
def browser(clients: Installed, log: Path) -> Iterator[Browser]:
    """Start one; it ends with the block."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [str(clients.bin / "node"), str(BROWSING), str(clients.chromium)],
            env=clients.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Browser(process.stdin, process.stdout)
            process.stdin.close()
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.kill()


class Site:
    """A web site of the shop. `pages`: HTML or a script by path."""

    def __init__(self, url: str, pages: dict[str, str], policy: list[str]) -> None:
        """Args: policy: its Content-Security-Policy, if it has an item."""
        self.url = url
        self.pages = pages
        self.policy = policy


@contextmanager
def site() -> Iterator[Site]:
    """Serve one on a free port of 127.0.0.1; to the browser `localhost` is another site with the same pages."""
    pages: dict[str, str] = {}
    policy: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = pages.get(path, "").encode()
            self.send_response(200 if path in pages else 404)
            self.send_header("Content-Type", "text/javascript" if path.endswith(".js") else "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            for line in policy:
                self.send_header("Content-Security-Policy", line)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Site(f"http://127.0.0.1:{server.server_port}", pages, policy)
        finally:
            server.shutdown()
            thread.join()

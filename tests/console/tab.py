"""The console in a browser as tests use it: logged in, and looked at for what no page may do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from hub.api.console import CONSOLE
from tests.clients.browser import Browser, Page, browser
from tests.clients.installed import Installed
from tests.live.whole_hub import WholeHub

PHONE: Final = (360, 740)
DESKTOP: Final = (1280, 800)
RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
SERIOUS: Final = ("serious", "critical")
# a violation is told to the page before it is in the console, and has more words there
NOTE_VIOLATIONS: Final = (
    "window.violations = []; document.addEventListener('securitypolicyviolation',"
    " ({violatedDirective, blockedURI, sample}) => violations.push([violatedDirective, blockedURI, sample].join(' ')))"
)


class Tab:
    """One tab of the console. `page`: for what is not here."""

    def __init__(self, hub: WholeHub, chromium: Browser, axe: str) -> None:
        """Args: axe: its source."""
        self.hub = hub
        self.page: Page = chromium.open(f"{hub.url}{CONSOLE}", NOTE_VIOLATIONS)
        self.page.size(*DESKTOP)
        self._chromium = chromium
        self._axe = axe
        self._expected: list[str] = []

    def log_in(self, key: str = "") -> None:
        """Args: key: empty: the admin key."""
        self.sees("Log in")
        self.page.tap("input[autocomplete=current-password]")
        self.page.type(key or (self.hub.data / "admin-key").read_text().strip())
        self.page.press("Enter")
        self.page.until("document.querySelector('nav, [aria-label=Pages]') !== null")

    def go(self, path: str) -> None:
        """To a page by its address, loaded anew. Args: path: below /console."""
        self.page.go(f"{self.hub.url}{CONSOLE}{path}")
        self.page.until("document.querySelector('h1') !== null && !document.querySelector('[aria-label=Loading]')")

    def settled(self) -> None:
        """Wait until all that the page shows has come, and is drawn."""
        self.page.until("!document.querySelector('[aria-label=Loading], .mantine-Skeleton-root')")
        self.page.evaluate("new Promise(done => requestIdleCallback(() => requestAnimationFrame(() => done(0))))")

    def sees(self, text: str) -> None:
        """Wait until a text is on the page."""
        self.page.until(f"document.body.innerText.includes({json.dumps(text)})")

    def text(self, selector: str = "main") -> str:
        """What is written in an element."""
        found: str = self.page.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def tab_to(self, name: str, most: int = 60) -> None:
        """Press Tab until the focus is on what is called so, by its label or text."""
        for _ in range(most):
            self.page.press("Tab")
            focused = "document.activeElement"
            called = f"{focused}.ariaLabel || {focused}.labels?.[0]?.innerText || {focused}.innerText"
            if name in self.page.evaluate(f"{focused} === document.body ? '' : ({called} || '').trim()"):
                return
        raise AssertionError(f"{name} cannot be reached with Tab")

    def findings(self) -> list[str]:
        """What axe finds that is serious or critical."""
        # colours in the middle of a change are nobody's; what moves for ever is left to move
        moving = "document.getAnimations().filter(one => one.effect.getTiming().iterations !== Infinity)"
        ended = f"Promise.allSettled({moving}.map(one => one.finished))"
        self.page.evaluate(f"Promise.race([{ended}, new Promise(done => setTimeout(done, 1000))]).then(() => 0)")
        # within the page's policy: the browser's debugger runs it, no script element
        self.page.evaluate(f"{self._axe}; 0")
        tags = json.dumps({"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]})
        found: list[dict[str, Any]] = self.page.evaluate(f"axe.run(document, {tags}).then(done => done.violations)")
        return [
            f"{one['id']}: {one['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
            for one in found
            if one["impact"] in SERIOUS
            for node in one["nodes"]
        ]

    def is_wider_than_window(self) -> bool:
        """Whether it has to be scrolled sideways."""
        wider: bool = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return wider

    def expect(self, words: str) -> None:
        """The browser writes lines with these to the console, as for every answer that is an error."""
        self._expected.append(words)

    def check(self) -> None:
        """Nothing was against the policy, written to the console, or asked of another host or in unknown words."""
        assert self.page.evaluate("violations") == []
        said = [line for line in self._chromium.said() if not any(words in line for words in self._expected)]
        assert said == [], said
        own = urlsplit(self.hub.url).netloc
        asked = [urlsplit(url) for url in self._chromium.asked()]
        assert {url for url in asked if url.scheme != "data" and url.netloc != own} == set()
        known = self._parameters()
        for url in asked:
            names = next((names for path, names in known if path.fullmatch(url.path)), None)
            if names is not None:
                assert {name for name, _ in parse_qsl(url.query, keep_blank_values=True)} <= names, url.geturl()

    def _parameters(self) -> list[tuple[re.Pattern[str], set[str]]]:
        """By path, the names of the parameters that its routes take in the query, as /openapi.json has them."""
        paths: dict[str, Any] = self.hub.get("/openapi.json")["paths"]
        return [
            (
                re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path))),
                {
                    one["name"]
                    for route in paths[path].values()
                    for one in route.get("parameters", ())
                    if one["in"] == "query"
                },
            )
            # a fixed path before one that it would fit
            for path in sorted(paths, key=lambda path: path.count("{"))
        ]


@contextmanager
def tab(hub: WholeHub, clients: Installed, log: Path) -> Iterator[Tab]:
    """A browser with one tab; checks it when the block ends well."""
    axe = (clients.modules / "axe-core" / "axe.min.js").read_text()
    with browser(clients, log) as chromium:
        made = Tab(hub, chromium, axe)
        yield made
        made.check()

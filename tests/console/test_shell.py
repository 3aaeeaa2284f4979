"""The console's shell in Chromium, by mouse and by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.installed import Installed
from tests.console.pages import PAGES
from tests.console.tab import PHONE, Tab, tab
from tests.live.whole_hub import WholeHub

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def test_log_in_and_out_with_nothing_but_the_keyboard(hub: WholeHub, clients: Installed, tmp_path: Path) -> None:
    with tab(hub, clients, tmp_path / "browser.log") as at:
        at.sees("hub-data/admin-key")
        assert at.findings() == []
        at.page.type((hub.data / "admin-key").read_text().strip())  # the field has the focus
        at.page.press("Enter")
        at.sees("Balance sheet")
        (cookie,) = at.page.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["session"]) == (True, "Strict", True)
        assert at.page.evaluate("[document.cookie, sessionStorage.length]") == ["", 0]
        at.tab_to("Logged in with the admin key")
        at.page.press("Enter")
        at.sees("Namespace: ")
        at.page.press("ArrowDown", "ArrowDown", "Enter")
        at.sees("Log in")
        assert at.page.cookies() == []


@pytest.mark.parametrize("dark", [False, True])
def test_every_page_can_be_read_by_everybody(at: Tab, dark: bool) -> None:
    """axe has no serious finding in this theme, nor is a page wider than a phone."""
    at.page.scheme(dark=dark)
    at.expect("status of 404")  # what is asked for is not there
    for path in PAGES.values():
        at.go(path.replace(":id", "unknown"))
        assert at.findings() == [], path
        assert at.page.evaluate("document.querySelectorAll('h1').length") == 1, path
        at.page.size(*PHONE)
        assert not at.is_wider_than_window(), path
        assert at.findings() == [], path
        at.page.size(1280, 800)


def test_pages_are_reached_by_keyboard(at: Tab) -> None:
    at.go("/")
    at.page.press("Tab")
    assert at.page.evaluate("document.activeElement.innerText") == "Skip to content"
    at.tab_to("Segments")
    at.page.press("Enter")
    at.page.until("document.title.startsWith('Segments')")
    assert at.page.evaluate("document.activeElement.id") == "main"
    at.page.press("Control+k")
    at.page.until("document.activeElement.placeholder === 'Go to a page'")
    at.page.type("dead")
    at.sees("What could not be taken")
    at.page.press("Enter")
    at.page.until("location.pathname === '/console/dead-letters'")


def test_colours_are_kept(at: Tab) -> None:
    at.page.tap("[aria-label^=Colours]")
    at.page.tap("::-p-text(Dark)")
    scheme = "document.documentElement.dataset.mantineColorScheme"
    at.page.until(f"{scheme} === 'dark'")
    at.go("/live")
    assert at.page.evaluate(scheme) == "dark"


def test_a_session_that_is_over_leads_to_the_login(hub: WholeHub, clients: Installed, tmp_path: Path) -> None:
    made = hub.http.post("/api-keys", json={"id": "short", "name": "Short", "roles": ["read"]})
    with tab(hub, clients, tmp_path / "browser.log") as at:
        at.log_in(made.json()["key"])
        at.sees("Balance sheet")
        assert hub.http.delete("/api-keys/short").is_success
        at.sees("The admin key, or an API key of any role.")
        at.expect("status of 401")

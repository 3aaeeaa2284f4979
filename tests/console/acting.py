"""What tests of several pages do there."""

from __future__ import annotations

import json
from typing import Final

from tests.console.tab import DESKTOP, PHONE, Tab

HOSTILE: Final = "<img src=x onerror=\"violations.push('xss')\"></script>'\"`${1}"


def button(at: Tab, words: str) -> None:
    """Click on a button by all that it says, once it may be clicked."""
    all_of_them = "[...document.querySelectorAll('main button, [role=dialog] button')]"
    find = f"{all_of_them}.find(b => b.innerText.trim() === {json.dumps(words)})"
    at.page.until(f"{find} !== undefined && !{find}.disabled && !{find}.dataset.disabled && !{find}.dataset.loading")
    at.page.evaluate(f"{find}.click()")


def read_by_everybody(at: Tab) -> None:
    """No serious finding in either theme, no page wider than a phone."""
    at.settled()
    # what comes or goes has other colours meanwhile
    at.page.until("document.getAnimations().every(one => one.effect.getTiming().iterations === Infinity)")
    for dark in (False, True):
        at.page.scheme(dark=dark)
        assert at.findings() == []
    at.page.size(*PHONE)
    assert not at.is_wider_than_window()
    assert at.findings() == []
    at.page.size(*DESKTOP)
    at.page.scheme(dark=False)

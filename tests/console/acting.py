"""What tests of several pages do there."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.console.tab import DESKTOP, PHONE, Tab

HOSTILE: Final = "<img src=x onerror=\"violations.push('xss')\"></script>'\"`${1}"


def button(at: Tab, words: str) -> None:
    """Click on a button by all that it says, once it may be clicked."""
    all_of_them = "[...document.querySelectorAll('main button, [role=dialog] button')]"
    find = f"{all_of_them}.find(b => b.innerText.trim() === {json.dumps(words)})"
    at.page.until(f"{find} !== undefined && !{find}.disabled && !{find}.dataset.disabled && !{find}.dataset.loading")
    at.page.evaluate(f"{find}.click()")


def write(at: Tab, value: Any) -> None:
    """JSON into the editor, instead of what is in it."""
    at.page.until("document.querySelector('main .cm-content') !== null")
    at.page.evaluate("document.querySelector('main .cm-content').focus()")
    at.page.press("Control+a", "Backspace")
    # as from the clipboard: over a selection Chromium itself writes inline styles, which the page's policy refuses
    at.page.evaluate(f"document.execCommand('insertText', false, {json.dumps(json.dumps(value))})")


def read_by_everybody(at: Tab) -> None:
    """No serious finding in either theme, no page wider than a phone."""
    at.settled()
    for dark in (False, True):
        at.page.scheme(dark=dark)
        at.page.until(f"document.documentElement.dataset.mantineColorScheme === '{'dark' if dark else 'light'}'")
        _look(at)
    at.page.size(*PHONE)
    at.settled()  # what floats, such as a tooltip, follows with the next frame
    assert not at.is_wider_than_window()
    _look(at)
    at.page.size(*DESKTOP)
    at.page.scheme(dark=False)


def _look(at: Tab) -> None:
    # what comes, goes or changes its theme has other colours meanwhile
    at.page.until("document.getAnimations().every(one => one.effect.getTiming().iterations === Infinity)")
    found = at.findings()
    assert found == [], found

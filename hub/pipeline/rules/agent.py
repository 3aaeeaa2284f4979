"""What a user agent says of the device, the system and the program; and whether it is a robot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from ua_parser import Parser, Result

MOST_CHARS: Final = 1_024
"""Of a user agent that are looked at."""

_DESKTOPS: Final = frozenset({"Windows", "Mac OS X", "Linux", "Chrome OS", "Ubuntu", "Fedora", "FreeBSD"})


class Agent(NamedTuple):
    """Objects of the event's document, each only with what is known. They are shared: nobody may change them."""

    device: Mapping[str, Any]
    os: Mapping[str, Any]
    app: Mapping[str, Any]
    bot: bool


NO_AGENT: Final = Agent({}, {}, {}, bot=False)


def load() -> None:
    """Read the patterns, 0.3 s of work, so that the first event with a user agent does not wait for it."""
    _agent("Mozilla/5.0")


def agent_of(text: str) -> Agent:
    """What a user agent says. Takes about 0.2 ms for one that is new."""
    return _agent(text[:MOST_CHARS]) if text else NO_AGENT


# a busy site meets some thousands: nearly all are answered from here
@lru_cache(maxsize=16_384)
def _agent(text: str) -> Agent:
    import crawleruseragents  # noqa: PLC0415 - as in _parser

    found = _parser().parse(text)
    bot: bool = crawleruseragents.is_crawler(text)
    return Agent(_device(text, found, bot=bot), _os(found), _app(text, found, bot=bot), bot)


@cache
def _parser() -> Parser:
    # a tenth of a second at the start of every process, and only the collector reads user agents
    from ua_parser import Parser  # noqa: PLC0415
    from ua_parser.loaders import load_lazy_builtins  # noqa: PLC0415
    from ua_parser.regex import Resolver  # noqa: PLC0415

    return Parser(Resolver(load_lazy_builtins()))


def _device(text: str, found: Result, *, bot: bool) -> dict[str, Any]:
    device: dict[str, Any] = {}
    if found.device is not None and not bot:
        device = {"name": found.device.family, "brand": found.device.brand, "model": found.device.model}
    system = "" if found.os is None else found.os.family
    return _known({**device, "type": _type(text, system, bot=bot)})


def _type(text: str, system: str, *, bot: bool) -> str | None:
    if bot:
        return "bot"
    if "iPad" in text or "Tablet" in text or (system == "Android" and "Mobile" not in text):
        return "tablet"
    if "Mobi" in text or system in ("iOS", "Android"):
        return "mobile"
    return "desktop" if system in _DESKTOPS else None


def _os(found: Result) -> dict[str, Any]:
    os = found.os
    return {} if os is None else _known({"name": os.family, "version": _version(os.major, os.minor, os.patch)})


def _app(text: str, found: Result, *, bot: bool) -> dict[str, Any]:
    app = found.user_agent
    named = {} if app is None else {"name": app.family, "version": _version(app.major, app.minor, app.patch)}
    kind = "bot" if bot else "browser" if text.startswith("Mozilla/") else "app"
    return _known({"type": kind, **named, "bot": bot})


def _version(*parts: str | None) -> str:
    return ".".join(part for part in parts if part)


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "")}

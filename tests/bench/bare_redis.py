"""
The bare Redis bridges: `python -m tests.bench.bare_redis BOOTSTRAP SETTINGS TARGET RECORDS`.

A stream: XREADGROUP COUNT 500, XACK a batch. A list: LMPOP COUNT 500, which keeps nothing for a crash. Both with
hiredis; decode, encode, produce with a callback; no checks, no ids. SETTINGS are a bridge's, as JSON.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import redis

from tests.bench.bare_onward import Onward

COUNT = 500
GROUP = "bare"


def stream(client: Any, key: str, onward: Onward) -> None:
    """All of it."""
    client.set_response_callback("XREADGROUP", lambda reply, **_: reply)
    client.xgroup_create(key, GROUP, "0")

    def acknowledge(ids: list[bytes]) -> None:
        client.execute_command("XACK", key, GROUP, *ids)

    while not onward.all_taken:
        reply = client.execute_command(
            "XREADGROUP", "GROUP", GROUP, "me", "COUNT", COUNT, "BLOCK", 100, "STREAMS", key, ">"
        )
        for _, entries in reply or ():
            onward.send([fields[1] for _, fields in entries], [id for id, _ in entries])
        for token in onward.acknowledged():
            acknowledge(token)
    onward.finish(acknowledge)


def queue(client: Any, key: str, onward: Onward) -> None:
    """All of it."""
    while not onward.all_taken:
        reply = client.lmpop(1, key, direction="LEFT", count=COUNT)
        if reply:
            onward.send(reply[1], None)
        onward.acknowledged()
    onward.finish(lambda _: None)


def main(bootstrap: str, settings: dict[str, Any], target: str, count: int) -> None:
    """Forward `count` messages and print what it took."""
    with redis.Redis.from_url(settings["url"], protocol=2) as client:
        onward = Onward(bootstrap, target, count)
        if "streams" in settings:
            stream(client, settings["streams"], onward)
        else:
            queue(client, settings["key"], onward)


if __name__ == "__main__":
    main(sys.argv[1], msgspec.json.decode(sys.argv[2]), sys.argv[3], int(sys.argv[4]))

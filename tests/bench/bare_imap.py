"""
The bare IMAP bridge: `python -m tests.bench.bare_imap BOOTSTRAP SETTINGS TARGET RECORDS`.

imapclient, one SEARCH, FETCH of 200 mails, the standard library's parser for the body, decode, encode, produce with a
callback, one STORE a batch, on the same session; no checks, no ids. SETTINGS are a bridge's, as JSON.
"""

from __future__ import annotations

import email
import os
import sys
from typing import Any

import msgspec
from imapclient import IMAPClient

from tests.bench.bare_onward import Onward

COUNT = 200


def body(mail: bytes) -> bytes:
    """The mail's only part."""
    content = email.message_from_bytes(mail).get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def main(bootstrap: str, settings: dict[str, Any], target: str, count: int) -> None:
    """Forward `count` messages and print what it took."""
    with IMAPClient(settings["host"], settings["port"], ssl=False) as client:
        client.login(settings["username"], os.environ[settings["password"].removeprefix("env:")])
        client.select_folder("INBOX")
        onward = Onward(bootstrap, target, count)

        def mark(uids: list[int]) -> None:
            client.add_flags(uids, [b"\\Seen"], silent=True)

        waiting = client.search(["UNSEEN"])
        while not onward.all_taken:
            uids, waiting = waiting[:COUNT], waiting[COUNT:]
            mails = client.fetch(uids, ["BODY.PEEK[]"])
            onward.send([body(mails[uid][b"BODY[]"]) for uid in uids], uids)
            for done in onward.acknowledged():
                mark(done)
        onward.finish(mark)


if __name__ == "__main__":
    main(sys.argv[1], msgspec.json.decode(sys.argv[2]), sys.argv[3], int(sys.argv[4]))

"""
The bare PostgreSQL bridge: `python -m tests.bench.bare_postgres BOOTSTRAP SETTINGS TARGET RECORDS`.

psycopg, SELECT of 500 rows after the last one, decode, encode, produce with a callback, one DELETE a batch; no checks,
no ids, and rows that are committed late are skipped. SETTINGS are a bridge's, as JSON.
"""

from __future__ import annotations

import os
import sys
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psycopg
from psycopg.sql import SQL, Identifier

from tests.bench.bare_onward import Onward

COUNT = 500


def main(bootstrap: str, settings: dict[str, Any], target: str, count: int) -> None:
    """Forward `count` messages and print what it took."""
    parts, table = urlsplit(settings["url"]), Identifier(settings["table"])
    select = SQL("SELECT id, body FROM {} WHERE id > %s ORDER BY id LIMIT %s").format(table).as_bytes(None)
    delete = SQL("DELETE FROM {} WHERE id = ANY(%s)").format(table).as_bytes(None)
    with psycopg.connect(
        host=parts.hostname,
        port=parts.port,
        dbname=parts.path.strip("/"),
        user=settings["username"],
        password=os.environ[settings["password"].removeprefix("env:")],
        autocommit=True,
    ) as connection:
        onward = Onward(bootstrap, target, count)

        def remove(ids: list[int]) -> None:
            connection.execute(delete, [ids])

        last = 0
        while not onward.all_taken:
            rows = connection.execute(select, [last, COUNT], binary=True).fetchall()
            last = rows[-1][0]
            onward.send([body for _, body in rows], [id for id, _ in rows])
            for ids in onward.acknowledged():
                remove(ids)
        onward.finish(remove)


if __name__ == "__main__":
    main(sys.argv[1], msgspec.json.decode(sys.argv[2]), sys.argv[3], int(sys.argv[4]))

"""
Sends orders with one vendor's client for Python, as an application does: `sending.py CLIENT URL KEY COUNT`.

Order n is of customer n modulo 50, one second after the one before, under an id of its own. After half of them it
prints a line and waits for one, so that a test may do something to the hub meanwhile. Its last line says what failed.

Each client is imported by whoever uses it: the others need not be there.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 1, tzinfo=UTC)
CUSTOMERS = 50
failures: list[str] = []


def failed(error: Any, batch: Any = ()) -> None:
    failures.append(f"{error} ({len(batch)} messages)")


def send(count: int, one: Callable[[int, str, datetime], Any]) -> None:
    for number in range(count):
        if number == count // 2:
            print("half", flush=True)
            sys.stdin.readline()
        one(number, f"customer-{number % CUSTOMERS}", START + timedelta(seconds=number))


def segment(url: str, key: str, count: int) -> None:
    from segment.analytics.client import Client  # noqa: PLC0415

    client = Client(key, host=url, on_error=failed, gzip=True)
    send(
        count,
        lambda n, who, at: client.track(who, "Order Done", {"n": n}, timestamp=at, message_id=f"order-{n}"),
    )
    client.shutdown()


def rudder(url: str, key: str, count: int) -> None:
    from rudderstack.analytics.client import Client  # noqa: PLC0415

    client = Client(key, host=url, on_error=failed)
    send(
        count,
        lambda n, who, at: client.track(who, "Order Done", {"n": n}, timestamp=at, message_id=f"order-{n}"),
    )
    client.flush()
    client.join()


def posthog(url: str, key: str, count: int, mode: str = "v0") -> None:
    from posthog import Posthog  # noqa: PLC0415

    client = Posthog(key, host=url, on_error=failed, gzip=True, capture_mode=mode)

    def one(n: int, who: str, at: datetime) -> None:
        id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{key}-{n}"))
        client.capture("Order Done", distinct_id=who, properties={"n": n}, timestamp=at, uuid=id)

    send(count, one)
    client.shutdown()


def cloudevents(url: str, key: str, count: int) -> None:
    """It only makes requests; who sends them tries again by himself, as this does."""
    import requests  # noqa: PLC0415
    from cloudevents.core.bindings.http import to_binary_event, to_structured_event  # noqa: PLC0415
    from cloudevents.core.v1.event import CloudEvent  # noqa: PLC0415

    session = requests.Session()

    def one(n: int, who: str, at: datetime) -> None:
        attributes = {
            "type": "Order Done",
            "source": "/orders",
            "id": f"order-{n}",
            "subject": who,
            "time": at,
            "datacontenttype": "application/json",
            "specversion": "1.0",
        }
        event = CloudEvent(attributes, {"n": n})
        message = to_binary_event(event) if n % 2 else to_structured_event(event)
        for _ in range(60):
            try:
                answer = session.post(
                    f"{url}/cloudevents",
                    data=message.body,
                    headers={**message.headers, "Authorization": f"Bearer {key}"},
                    timeout=30,
                )
            except requests.ConnectionError:
                threading.Event().wait(0.5)
                continue
            if answer.status_code != 503:
                break
            time.sleep(int(answer.headers["Retry-After"]))
        if answer.status_code != 202:
            failed(answer.text)

    send(count, one)


def predecessor(url: str, key: str, count: int) -> None:
    """One event a call, without an id or a time of its own, and no key: only a source. It prints each answer."""
    from tracardi_track_client import tracker  # noqa: PLC0415

    source = key.removeprefix("key-")

    def one(n: int, who: str, at: datetime) -> None:
        answers = io.StringIO()
        with contextlib.redirect_stdout(answers):
            tracker.track(url, source, who, f"session-{who}", "Order Done", {"n": n}, {"place": "counter"}, {"till": 7})
        if " 200 " not in answers.getvalue() or f"'profile': {{'id': '{who}'}}" not in answers.getvalue():
            failed(answers.getvalue())

    send(count, one)


CLIENTS: dict[str, Callable[[str, str, int], None]] = {
    "segment-python": segment,
    "rudder-python": rudder,
    "posthog-python": posthog,
    "posthog-v1-python": lambda url, key, count: posthog(url, key, count, "v1"),
    "cloudevents-python": cloudevents,
    "predecessor-python": predecessor,
}

if __name__ == "__main__":
    CLIENTS[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4]))
    print(f"failed: {failures}", flush=True)

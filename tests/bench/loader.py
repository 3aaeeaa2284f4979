"""
The loader: `python -m tests.bench.loader --port N …` sends requests over kept-alive connections, one at a time on each.

A process of its own, so that what it costs is not in the server's figures. The requests are made before the clock
starts, and an answer is read no further than to its length. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from array import array
from collections.abc import Iterator
from itertools import cycle
from typing import Any, Final, cast

import msgspec
import psutil
import uvloop

from tests.bench import payloads

LENGTH: Final = b"content-length: "
OK: Final = b"HTTP/1.1 200"


class Load:
    """What the connections share: the requests, the clock, the tallies."""

    def __init__(self, requests: Iterator[bytes], most: int, done: asyncio.Event) -> None:
        """Args: most: requests in all; 0: until `stop`."""
        self.requests = requests
        self.left = most or -1
        self.done = done
        self.open = 0
        self.answered = 0
        self.failed = 0
        self.first_failure = ""
        self.latencies = array("d")

    def next(self) -> bytes | None:
        """The next request; None when there shall be none."""
        if not self.left:
            return None
        self.left -= 1
        return next(self.requests)

    def stop(self) -> None:
        """Send no more; what is under way is answered."""
        self.left = 0

    def closed(self) -> None:
        """A connection has nothing more to do."""
        self.open -= 1
        if not self.open:
            self.done.set()


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, load: Load) -> None:
        """Sends as soon as it is connected."""
        self._load = load
        self._rest = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport
        load.open += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            self._rest = data
            return
        at = data.index(LENGTH, 0, head) + len(LENGTH)
        end = head + 4 + int(data[at : data.index(b"\r", at)])
        if len(data) < end:
            self._rest = data
            return
        self._rest = b""
        load = self._load
        load.answered += 1
        load.latencies.append(time.perf_counter() - self._sent_at)
        if not data.startswith(OK):
            load.failed += 1
            load.first_failure = load.first_failure or data.decode(errors="replace")
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None or self._load.left:
            self._load.failed += 1
            self._load.first_failure = self._load.first_failure or f"connection lost: {exc!r}"
        self._load.closed()

    def _send(self) -> None:
        request = self._load.next()
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


class Reading:
    """How far the load and the server's processor time had come at one moment."""

    def __init__(self, load: Load, server: psutil.Process) -> None:
        """Takes it."""
        used = server.cpu_times()
        self.cpu_s = used.user + used.system
        self.answered = load.answered
        self.samples = len(load.latencies)
        self.at = time.perf_counter()


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Load the server; returns what was seen between warm-up and end."""
    made = list(payloads.requests(options.shape, options.different))
    gc.freeze()
    gc.disable()
    done = asyncio.Event()
    load = Load(cycle(made), options.requests, done)
    server, own = psutil.Process(options.pid), psutil.Process()
    loop = asyncio.get_running_loop()
    for _ in range(options.connections):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", options.port)
    if options.requests:
        first = Reading(load, server)
        await done.wait()
    else:
        await _unless(done, options.warmup)
        first = Reading(load, server)
        await _unless(done, options.seconds)
    last = Reading(load, server)
    load.stop()
    await done.wait()
    used = own.cpu_times()
    return _report(load, first, last, used.user + used.system)


async def _unless(done: asyncio.Event, seconds: float) -> None:
    """Let the load run for so long; shorter only when every connection is lost."""
    try:
        async with asyncio.timeout(seconds):
            await done.wait()
    except TimeoutError:
        return


def _report(load: Load, first: Reading, last: Reading, own_cpu_s: float) -> dict[str, Any]:
    count = last.answered - first.answered
    wall_s = last.at - first.at
    latencies = sorted(load.latencies[first.samples : last.samples])
    return {
        "requests": count,
        "failed": load.failed,
        "first_failure": load.first_failure,
        "rate": count / wall_s,
        "p50_ms": 1000 * latencies[len(latencies) // 2] if latencies else 0.0,
        "p99_ms": 1000 * latencies[len(latencies) * 99 // 100] if latencies else 0.0,
        "cpu_s_per_100k": (last.cpu_s - first.cpu_s) / max(count, 1) * 100_000,
        "server_cores": (last.cpu_s - first.cpu_s) / wall_s,
        "loader_cpu_s_per_100k": own_cpu_s / max(load.answered, 1) * 100_000,
    }


def main() -> None:
    """Read the options, load, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, required=True, help="the server, whose processor time is read")
    parser.add_argument("--shape", choices=("single", "many"), required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--different", type=int, default=payloads.PROFILES, help="requests that differ")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=5.0, help="that are measured, after the warm-up")
    parser.add_argument("--requests", type=int, default=0, help="in all, instead of --warmup and --seconds")
    print(msgspec.json.encode(uvloop.run(run(parser.parse_args()))).decode())


if __name__ == "__main__":
    main()

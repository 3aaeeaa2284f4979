"""A run on a hub of the kit's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from hub.chaos import disk
from hub.chaos.engine import SearchEngine
from hub.chaos.faults import Faults
from hub.chaos.plan import PROCESSES, STORE, Options, all_faults, engine_faults
from hub.chaos.proxy import HOST, Proxy
from hub.chaos.report import Result
from hub.chaos.run import Target, run
from hub.chaos.site import STORE_FOLDER, Site

NAMESPACE: Final = "hub"
LEDGER: Final = "ledger.jsonl"


async def run_here(
    data: Path,
    options: Options,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    *,
    engine: SearchEngine | None = None,
    commands: Sequence[str] = (),
) -> Result:
    """
    Start a hub on an empty folder, run, stop it.

    Args: engine: where it keeps its data; None: in a file. commands: each is a fault, run by the shell.

    Raises: Unavailable: it does not start, or ends; the engine does not answer. Refused: the engine's process cannot be
    sent signals. FileExistsError: the folder has had a run.
    """
    async with AsyncExitStack() as stack:
        store = {} if engine is None else {"store": await asyncio.to_thread(engine.check)}
        # 8 KiB an event: its document, indexes, the log and what is written twice for a while
        megabytes = 256 + int(options.seconds * options.rate * 300 * 8) // 1024
        folders = [STORE_FOLDER, "kafka"] if engine is None else ["kafka"]
        disks = [stack.enter_context(disk.small_disk(data / name, megabytes)) for name in folders]
        site = Site(data, environment, engine)
        proxies = {f"{name}-kafka": Proxy(link.proxy, HOST, link.listener) for name, link in site.links.items()}
        proxies["load-api"] = Proxy(site.load_port, HOST, site.api_port)
        if engine is not None and engine.target is not None:
            proxies |= {f"{name}-store": Proxy(port, *engine.target) for name, port in site.stores.items()}
        for proxy in proxies.values():
            await proxy.start()
            stack.push_async_callback(proxy.close)
        say(f"starting a hub on {data}")
        # on a thread: what it waits for goes through the proxies
        stack.push_async_callback(asyncio.to_thread, site.stop)
        site.start()
        await asyncio.to_thread(site.wait_until_ready)
        faults = Faults(site, proxies, engine.namespace if engine else NAMESPACE, small_disks=all(disks))
        target = Target(
            url=site.url,
            load_url=f"http://{HOST}:{site.load_port}",
            key=site.key,
            bootstrap=site.bootstrap,
            bridge_bootstrap=f"{HOST}:{site.links['bridges'].proxy}",
            may_lack_agents=False,
            choices=choices(engine, commands),
            do=faults.do,
            works=lambda name: _works(faults, name, (*PROCESSES, STORE) if engine else PROCESSES),
            conditions={
                "hub": "its own, two collectors",
                "disks": "small" if all(disks) else "limits on file size",
                **store,
            },
        )
        return await run(target, options, data / LEDGER, say)


def choices(engine: SearchEngine | None, commands: Sequence[str]) -> list[list[tuple[str, str]]]:
    """Every other fault is one of the engine, or a command: whoever names them wants to see what comes of them."""
    theirs = [] if engine is None else engine_faults(links=engine.target is not None, process=engine.has_process)
    theirs += (("command", text) for text in commands)
    ours = [fault for fault in all_faults() if fault not in theirs]
    return [theirs, ours] if theirs else [ours]


def _works(faults: Faults, name: str, known: Sequence[str]) -> Callable[[], Awaitable[None]] | None:
    """Args: name: of a fault's target. known: what can be asked whether it works."""
    process = name.removesuffix("-kafka").removesuffix("-store")
    return (lambda: faults.until_works(process)) if process in known else None

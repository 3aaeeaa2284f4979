"""A run on a hub of the kit's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from hub.chaos import disk
from hub.chaos.faults import Faults
from hub.chaos.plan import PROCESSES, Options, all_faults
from hub.chaos.proxy import HOST, Proxy
from hub.chaos.report import Result
from hub.chaos.run import Target, run
from hub.chaos.site import STORE_FOLDER, Site

NAMESPACE: Final = "hub"
LEDGER: Final = "ledger.jsonl"


async def run_here(data: Path, options: Options, environment: Mapping[str, str], say: Callable[[str], None]) -> Result:
    """
    Start a hub on an empty folder, run, stop it.

    Raises: Unavailable: it does not start, or ends. FileExistsError: the folder has had a run.
    """
    async with AsyncExitStack() as stack:
        # 8 KiB an event: its document, indexes, the log and what is written twice for a while
        megabytes = 256 + int(options.seconds * options.rate * 300 * 8) // 1024
        disks = [stack.enter_context(disk.small_disk(data / name, megabytes)) for name in (STORE_FOLDER, "kafka")]
        site = Site(data, environment)
        proxies = {f"{name}-kafka": Proxy(link.proxy, HOST, link.listener) for name, link in site.links.items()}
        proxies["load-api"] = Proxy(site.load_port, HOST, site.api_port)
        for proxy in proxies.values():
            await proxy.start()
            stack.push_async_callback(proxy.close)
        say(f"starting a hub on {data}")
        stack.callback(site.stop)
        site.start()
        await asyncio.to_thread(site.wait_until_ready)
        faults = Faults(site, proxies, NAMESPACE, small_disks=all(disks))
        target = Target(
            url=site.url,
            load_url=f"http://{HOST}:{site.load_port}",
            key=site.key,
            bootstrap=site.bootstrap,
            bridge_bootstrap=f"{HOST}:{site.links['bridges'].proxy}",
            may_lack_agents=False,
            choice=all_faults(),
            do=faults.do,
            works=lambda name: _works(faults, name),
            conditions={"hub": "its own, two collectors", "disks": "small" if all(disks) else "limits on file size"},
        )
        return await run(target, options, data / LEDGER, say)


def _works(faults: Faults, name: str) -> Callable[[], Awaitable[None]] | None:
    if name in PROCESSES:
        return lambda: faults.until_works(name)
    process = name.removesuffix("-kafka")
    return (lambda: faults.until_works(process)) if process in PROCESSES else None

"""A run on somebody's staging: load and check, faults on the connection to it, and commands that its owner names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from hub.chaos.faults import command, disturbed
from hub.chaos.plan import Fault, Options
from hub.chaos.proxy import HOST, Proxy
from hub.chaos.report import Result
from hub.chaos.run import Target, run
from hub.stack import ports

LINK = "load-api"


async def run_there(
    options: Options,
    file: Path,
    say: Callable[[str], None],
    *,
    url: str,
    key: str,
    bootstrap: str,
    commands: Sequence[str],
) -> Result:
    """
    Args: url: http://…, of the API. bootstrap: of a Kafka for the bridge's topic, which stays; empty: REST alone.
    commands: each is a fault, such as `kubectl delete pod …`; run by the shell. file: of the ledger.

    Raises: Unavailable: it does not answer, or will not take our definitions.
    """
    address = urlsplit(url)
    async with AsyncExitStack() as stack:
        proxy = Proxy(ports.free_port(), address.hostname or HOST, address.port or 80)
        await proxy.start()
        stack.push_async_callback(proxy.close)

        async def do(fault: Fault) -> None:
            if fault.kind == "command":
                await command(fault)
                return
            async with disturbed(proxy, fault):
                await asyncio.sleep(fault.lasts_s)

        target = Target(
            url=url,
            load_url=f"http://{HOST}:{proxy.port}",
            key=key,
            bootstrap=bootstrap,
            bridge_bootstrap=bootstrap,
            may_lack_agents=True,
            choices=[[*((kind, LINK) for kind in ("cut", "stall", "slow")), *(("command", text) for text in commands)]],
            do=do,
            works=lambda _name: None,
            conditions={"hub": url},
        )
        return await run(target, options, file, say)

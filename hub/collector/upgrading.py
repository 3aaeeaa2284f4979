"""Before a collector begins: a store of an older schema becomes one of this, and says how far it is."""

from __future__ import annotations

import time
from typing import Any, Final

import structlog

from hub.health import serve_health
from hub.settings import Health
from hub.store.upgrading import Step, due, gigabytes, now_ms, upgrade
from hub.waiting import until_there

log: Final = structlog.get_logger()

TELL_EVERY_S: Final = 5.0


def upgrade_store(url: str, health: Health) -> None:
    """
    Beside the old one (`hub.store.upgrading`), unless it is done in no time anyway.

    Whoever asks the health port meanwhile hears that it is alive, and not ready.

    Raises: Refused: it cannot be upgraded, or is newer. Unavailable: no room, or the store went away meanwhile.
    """
    if not until_there(lambda: due(url), health):
        return
    state: dict[str, Any] = {"ready": False, "waiting_for": ""}
    told_at = 0.0

    def tell(step: Step) -> None:
        nonlocal told_at
        state["waiting_for"] = f"the store is being upgraded: {words(step)}"
        if time.monotonic() - told_at > TELL_EVERY_S:
            told_at = time.monotonic()
            log.info("store.upgrading", step=words(step))

    with serve_health(health, lambda: state):
        done = upgrade(url, now_ms=now_ms, tell=tell)
    if done is not None:
        log.info(
            "store.upgraded",
            from_schema=done.from_schema,
            to_schema=done.to_schema,
            file=str(done.new),
            kept=str(done.old),
            rows=sum(done.rows.values()),
            size=gigabytes(done.bytes),
            took_s=round(done.took_s, 1),
        )


def words(step: Step) -> str:
    """`copying, 40 %`."""
    return f"{step.what}, {100 * step.done // step.total} %" if step.total else step.what

"""The predecessor's searches."""

from __future__ import annotations

import httpx
from fastapi import FastAPI

from hub.api.select import router
from hub.store.memory import MemoryStore
from tests.contracts.batches import NOW_MS, batch, event


async def test_groups_that_differ_in_case_are_one_and_none_hides_the_time() -> None:
    store = MemoryStore()
    store.write(batch(*(event(f"e{n}", city=city) for n, city in enumerate(["Rome", "rome", "ROME", "date"]))))
    app = FastAPI()
    app.include_router(router(store, lambda: NOW_MS))
    body = {"minDate": {"delta": {"value": -1, "entity": "day"}}, "maxDate": {"delta": {"value": 1, "entity": "day"}}}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://hub") as http:
        answer = await http.post("/event/select/histogram?group_by=properties.city", json=body)
    chart = answer.json()
    assert sorted(chart["buckets"]) == ["date", "rome"]
    assert sum(bar["rome"] for bar in chart["result"]) == 3
    assert all("T" in bar["date"] for bar in chart["result"])

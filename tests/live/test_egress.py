"""HUB_EGRESS__NETWORKS as processes have it: no bridge, destination or import goes elsewhere, and each says why."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.kafka_tools import eventually
from tests.live.bridge_site import site
from tests.servers.running import shared

SETTING = "HUB_EGRESS__NETWORKS"


def test_who_may_connect_to_a_network_only_goes_nowhere_else(
    kafka: str, namespace: str, tmp_path: Path, shared_folder: Path
) -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listening,
        shared("valkey", shared_folder / "valkey") as redis_url,
        site(kafka, namespace, redis_url, tmp_path, **{SETTING: '["192.0.2.0/24"]'}) as hub,
    ):
        listening.setblocking(False)
        place = f"127.0.0.1:{listening.getsockname()[1]}"
        hub.put("source", "shop", {})
        hub.start("bridges")
        bridge = {"type": "mqtt", "source": "shop", "settings": {"url": f"mqtt://{place}", "topics": ["t"]}}
        assert SETTING in hub.post("/bridges/plant/test", {"definition": bridge})["error"]["cause"]
        hub.put("bridge", "plant", bridge)
        assert SETTING in hub.until("plant", state="failed")["last_error"]

        hub.put("destination", "crm", {"type": "http", "settings": {"url": f"http://{place}/"}})
        eventually(lambda: hub.get("/destinations/crm")["state"] == "failed")
        assert SETTING in hub.get("/destinations/crm")["last_error"]

        asked = {"id": "orders", "source": "shop", "location": f"kafka://{place}/t", "event_type": "order"}
        refused = hub.http.post("/imports/test", json=asked)
        assert refused.status_code == 422
        assert SETTING in refused.text
        with pytest.raises(BlockingIOError):
            listening.accept()

"""`hub apply`, `hub diff`, `hub export`, against an API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hub.__main__ import app
from hub.cli.definition_files import Named, files_in, place_of, read, whole
from hub.settings import Kafka
from tests.live.api import KEY, Running, running

TEA = """\
name: Tea
triggers:
  - {type: event, event_type: purchase}
nodes:
  start: {type: start, to: {out: gift}}
  gift: {type: update-profile, config: {fields: {traits.gift: tea}}}
"""
BRIDGE = """\
kind: bridge
id: orders
spec:
  type: kafka
  source: shop
  settings: {bootstrap: "127.0.0.1:1", topic: orders, group: g, options: {sasl.password: "env:PW"}}
  mapping: {event: {type: "'order'"}}
  enabled: false
"""


@pytest.fixture
async def api(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka, partitions=2), namespace, tmp_path) as made:
        yield made


async def command(api: Running, *words: object) -> Result:
    whole = [*map(str, words), "--url", str(api.public.base_url)]
    return await asyncio.to_thread(CliRunner(env={"HUB_ADMIN_KEY": KEY}).invoke, app, whole)


def files(folder: Path, **texts: str) -> Path:
    """Args: texts: by path, `__` for `/`."""
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


async def spec(api: Running, kind: str, id: str) -> Any:
    answer = await api.admin.get(f"/definitions/{kind}/{id}")
    return answer.json()["spec"] if answer.is_success else None


async def test_a_folder_is_applied_shown_and_exported(api: Running, tmp_path: Path) -> None:
    folder = files(tmp_path / "defs", flow__tea=TEA, segment__often="name: Often\n", queues=BRIDGE, source__shop="{}")
    before = await command(api, "diff", "-f", folder)
    assert before.exit_code == 1
    assert [line for line in before.stdout.splitlines() if line.startswith("create")] == [
        f"create {name}" for name in ("source/shop", "bridge/orders", "segment/often", "flow/tea")
    ]
    done = await command(api, "apply", "-f", folder)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "4 read, 4 changed"), done.output
    assert (await spec(api, "flow", "tea"))["nodes"]["gift"]["config"] == {"fields": {"traits.gift": "tea"}}

    out = tmp_path / "out"
    exported = await command(api, "export", out)
    assert exported.stdout == f"4 definitions in {out}\n"
    assert (await command(api, "diff", "-f", out)).stdout == "no difference\n"

    files(out, flow__tea=TEA.replace("gift: tea", "gift: coffee"))
    (out / "segment" / "often.yaml").unlink()
    files(out, segment__rare="name: Rare\n")
    shown = await command(api, "diff", "-f", out, "--prune")
    assert "traits.gift: coffee" in shown.stdout
    assert "delete segment/often" in shown.stdout
    assert (await command(api, "apply", "-f", out)).stdout.splitlines()[-1] == "4 read, 2 changed"
    assert await spec(api, "segment", "often") is not None, "what has no file stays"
    pruned = await command(api, "apply", "-f", out, "--prune")
    assert pruned.stdout == "deleted segment/often\n4 read, 1 changed\n"
    assert await spec(api, "segment", "often") is None


async def test_what_is_applied_at_one_process_is_in_force_in_another(
    api: Running, kafka: str, namespace: str, tmp_path: Path
) -> None:
    payload = {"source": {"id": "till"}, "events": [{"type": "paid"}]}

    async def taken(by: Running) -> int:
        return (await by.public.post("/track", json=payload)).status_code

    folder = tmp_path / "other"
    folder.mkdir()
    async with running(Kafka(bootstrap=kafka, partitions=2), namespace, folder) as other:
        assert await taken(other) == 401
        assert (await command(api, "apply", "-f", files(tmp_path / "defs", source__till="{}"))).exit_code == 0
        assert await taken(api) == 200, "at once where it was applied"
        async with asyncio.timeout(30):
            while True:
                if await taken(other) == 200:
                    break
                await asyncio.sleep(0.02)


async def test_of_wrong_files_nothing_is_applied_and_of_refused_ones_the_others_are(
    api: Running, tmp_path: Path
) -> None:
    folder = files(tmp_path / "defs", segment__often="name: Often\n", flow__tea=TEA.replace("nodes:", "knots:"))
    said = await command(api, "apply", "-f", folder)
    assert said.exit_code == 1
    assert f"{folder / 'flow' / 'tea.yaml'}:4:1: knots: there is no such field" in said.stderr
    assert await spec(api, "segment", "often") is None

    files(folder, flow__tea=TEA.replace("update-profile", "upset-profile"))
    said = await command(api, "apply", "-f", folder)
    assert (said.exit_code, said.stdout.splitlines()[-1]) == (1, "2 read, 1 changed, 1 refused")
    assert "gift" in said.stderr
    assert "upset-profile" in said.stderr
    assert await spec(api, "segment", "often") is not None

    for path, words in ((tmp_path / "no", "no such file"), (files(tmp_path / "x", cups__a="{}"), "what kind")):
        said = await command(api, "apply", "-f", path)
        assert said.exit_code > 0
        assert words in said.stderr


@pytest.mark.parametrize(
    "id", ["page-view", "v1.2", "..", ".hidden", "../../up", "a/b", "a//b", "with space", "%2E", "ä"]
)
def test_every_id_has_a_file_in_the_folder_of_its_kind(tmp_path: Path, id: str) -> None:
    path = tmp_path / place_of(Named("segment", id))
    assert path.resolve().parent == tmp_path / "segment"
    path.parent.mkdir()
    path.write_text("{}\n")
    for given in (tmp_path, path.parent, path):
        ((found, within),) = files_in([given])
        assert read(found, within) == (Named("segment", id), (path, whole("segment", {})))


async def test_whose_source_may_not_send_is_saved_with_a_warning(api: Running, tmp_path: Path) -> None:
    """Of bridges and redirects: else all that they bring would be refused, one message after the other."""
    file = tmp_path / "orders.yaml"
    file.write_text(BRIDGE.partition("spec:\n")[2].replace("  ", "", 1).replace("\n  ", "\n"))

    async def warned(kind: str, id: str) -> list[str]:
        found = (await api.admin.get(f"/definitions/{kind}/{id}")).json()["warnings"]
        assert all(one["where"] == "source" for one in found)
        return [one["detail"] for one in found]

    done = await command(api, "bridge", "put", "orders", file)
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("warning: source: no event source has this id: 'shop'. Until")
    await api.define("redirect", "spring", url="https://shop.example/", source="shop", event_type="mail-click")
    for source, bridge, redirect in (
        ({"type": ["bridge", "redirect"], "enabled": False}, "is switched off", "is switched off"),
        ({"type": ["bridge"]}, "", "does not take events from redirect"),
        ({"type": ["redirect"]}, "does not take events from bridge", ""),
    ):
        assert (await api.define("source", "shop", **source)).is_success
        for kind, id, words in (("bridge", "orders", bridge), ("redirect", "spring", redirect)):
            said = await warned(kind, id)
            assert len(said) == bool(words)
            assert all(words in one for one in said)
    again = await command(api, "bridge", "put", "orders", file)
    assert "source: the event source does not take events from bridge: 'shop'" in again.stderr

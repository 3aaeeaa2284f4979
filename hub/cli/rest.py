"""The API of a running hub, for commands: finds it and its key, asks, says in words what is wrong."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from weakref import finalize

import httpx
import typer

from hub.settings import Settings
from hub.stack import state
from hub.stack.keys import NAME, admin_key

ANSWER_S: Final = 120.0
SILENT_S: Final = 40.0
"""Without a heartbeat for so long the connection is gone: two of them."""
FAILED: Final = 2
"""Exit code: the command could not do its work."""


class Rest:
    """Asks one hub. What cannot be answered ends the command with exit code 2."""

    def __init__(self, settings: Settings, url: str = "", data: Path | None = None) -> None:
        """Args: url: of the hub; empty: the one that runs on the data folder, else its usual port."""
        folder = data or settings.data
        running = state.read(folder) if folder.is_dir() else None
        base = url or (running.url if running else f"{settings.api.scheme}://127.0.0.1:{settings.api.port}")
        given = settings.key or settings.admin_key
        self._mend = "" if url or running else f"; no hub runs on {folder}: `hub up` starts one, --data, --url name one"
        if given is None and not (folder / NAME).is_file():
            typer.echo(f"no key: set HUB_KEY or HUB_ADMIN_KEY (there is none in {folder}){self._mend}", err=True)
            raise typer.Exit(FAILED)
        key = admin_key(given, folder)
        self._http = httpx.Client(
            base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=ANSWER_S, verify=trust(settings, base)
        )
        finalize(self, self._http.close)

    def get(self, path: str, **query: Any) -> httpx.Response:
        """GET; query parameters that are None are left out."""
        return self._ask("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, document: dict[str, Any]) -> Any:
        """POST a JSON object; the answer's JSON."""
        return self._ask("POST", path, json=document).json()

    def put(self, path: str, document: dict[str, Any]) -> Any:
        """PUT a JSON object; the answer's JSON."""
        return self._ask("PUT", path, json=document).json()

    def delete(self, path: str) -> Any:
        """DELETE; the answer's JSON, None if it has none."""
        answer = self._ask("DELETE", path)
        return answer.json() if answer.content else None

    def tried(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask, and take whatever answer there is. Args: more: as httpx has it."""
        try:
            return self._http.request(method, path, **more)
        except httpx.TransportError as exc:
            typer.echo(f"no answer from {self._http.base_url}: {exc}{self._mend}", err=True)
            raise typer.Exit(FAILED) from exc

    def download(self, path: str, file: Path) -> int:
        """GET into a file, which is there only when it is whole; returns its size in bytes."""
        part = file.with_name(f"{file.name}.part")
        try:
            with self._http.stream("GET", path) as answer, part.open("wb") as out:
                if not answer.is_success:
                    answer.read()
                    typer.echo(f"GET {path} is answered with {answer.status_code}: {detail(answer)}", err=True)
                    raise typer.Exit(FAILED)
                for piece in answer.iter_bytes():
                    out.write(piece)
                size = out.tell()
            part.replace(file)
        except httpx.TransportError as exc:
            typer.echo(f"no whole answer from {self._http.base_url}: {exc}", err=True)
            raise typer.Exit(FAILED) from exc
        finally:
            part.unlink(missing_ok=True)
        return size

    def told(self, path: str, **query: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """GET server-sent events: name and JSON of each, until the hub ends it."""
        try:
            with self._http.stream("GET", path, params=query, timeout=httpx.Timeout(ANSWER_S, read=SILENT_S)) as answer:
                if not answer.is_success:
                    answer.read()
                    typer.echo(f"GET {path} is answered with {answer.status_code}: {detail(answer)}", err=True)
                    raise typer.Exit(FAILED)
                event = "message"
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        event = value
                    elif name == "data":
                        yield event, json.loads(value)
                    elif not line:
                        event = "message"
        except httpx.TransportError as exc:
            typer.echo(f"no answer from {self._http.base_url} any more: {exc}", err=True)
            raise typer.Exit(FAILED) from exc

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self.tried(method, path, **more)
        if not answer.is_success:
            typer.echo(f"{method} {path} is answered with {answer.status_code}: {detail(answer)}", err=True)
            raise typer.Exit(FAILED)
        return answer


def trust(settings: Settings, url: str) -> ssl.SSLContext | bool:
    """Whom to trust at `url`: HUB_API__CA_FILE, else the system's authorities. Exits when the file is none."""
    if not url.startswith("https:"):
        return False  # nothing to look at; to read the system's authorities takes a tenth of a second
    try:
        return ssl.create_default_context(cafile=settings.api.ca_file)
    except (OSError, ssl.SSLError) as exc:
        typer.echo(f"HUB_API__CA_FILE {settings.api.ca_file} cannot be used: {exc}", err=True)
        raise typer.Exit(FAILED) from exc


def detail(answer: httpx.Response) -> str:
    """What a refusal says, and of which field."""
    try:
        document = answer.json()
    except ValueError:
        return answer.text[:200]
    if not isinstance(document, dict):
        return str(document)
    said, where = str(document.get("detail", document)), document.get("where")
    if where and not said.startswith(where):
        said = f"{where}: {said}"
    # of a query: its line, and a caret below what is wrong with it
    return "\n".join(filter(None, (said, document.get("excerpt"))))

"""
Secrets in settings, such as a bridge's: references, or sealed by the API; looked up by the process that needs them.

Annotate a setting that is a secret as `SecretRef`, and an object of which some are as
`Annotated[dict[…], SecretKeys(…)]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, get_args

from pydantic import AfterValidator, BaseModel, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from hub.definitions.sealed import PREFIX as SEALED
from hub.definitions.sealed import Seal, SealError
from hub.errors import Refused
from hub.references import FILE, PREFIXES, VARIABLE, NoReference, read

PREFIX: Final = VARIABLE
KEY: Final = "HUB_SECRET_KEY"
FOLDER: Final = "HUB_SECRET_FOLDER"
OWN: Final = "HUB_"
"""Variables that begin so are the hub's own, many of them secrets, which no other server is to be told."""
HOW: Final = (
    "a secret: write env:NAME, the variable of the bridge process that holds it, file:NAME, a file in its "
    f"{FOLDER}, or let the API seal it"
)

Change: TypeAlias = Callable[[str, str], str]
"""Gets where a text is, such as `settings.password`, and the text; gives what shall be there."""


class _Mark(NamedTuple):
    """Makes an annotation a secret's, in its JSON Schema, too."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), "format": "password"}


class SecretKeys(NamedTuple):
    """Of an object: the values of keys that end so are secrets."""

    endings: tuple[str, ...]

    def has(self, key: str) -> bool:
        """Whether the value of this key is a secret."""
        return key.endswith(self.endings)


def is_reference(value: str) -> bool:
    """Whether a secret is none by itself: it is elsewhere, sealed, or there is none (an empty text)."""
    return not value or value.startswith((*PREFIXES, SEALED))


def _reference(value: str) -> str:
    if not is_reference(value):
        raise ValueError(f"this is {HOW}")
    return value


SecretRef: TypeAlias = Annotated[str, AfterValidator(_reference), _Mark()]
"""A secret in a kind's settings: `env:NAME`, `file:NAME`, `sealed:…`, or an empty text: none. For `resolve`."""

_CLIENT_SECRETS: Final = SecretKeys(("password", "secret", "ssl.key.pem"))


def _references(options: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
    for name, value in options.items():
        if _CLIENT_SECRETS.has(name) and not is_reference(str(value)):
            raise ValueError(f"{name} is {HOW}")
    return options


ClientOptions: TypeAlias = Annotated[dict[str, str | int | float | bool], _CLIENT_SECRETS, AfterValidator(_references)]
"""Further options of a client library (librdkafka, libpq …), by name; those that are secrets are references."""


BRIDGES: Final = "start `hub bridges` with it (`hub api`, if it is a webhook's)"


def resolve(value: Any, environ: Mapping[str, str], mend: str = BRIDGES) -> Any:
    """
    `env:NAME` becomes the variable's value, `file:NAME` the file's, `sealed:…` what was sealed; anything else stays.

    Args: environ: with HUB_SECRET_KEY and HUB_SECRET_FOLDER, wherever they came from. mend: how a variable gets there.

    Raises: Refused: the variable is not set, the file not there; there is no key, or another one.
    """
    if not isinstance(value, str):
        return value
    if value.startswith(SEALED):
        return _opened(value, environ)
    if value.startswith(FILE):
        return _read(value, environ)
    if not value.startswith(PREFIX):
        return value
    name = value.removeprefix(PREFIX)
    if name.startswith(OWN):
        raise Refused("bridge", f"{name} is the hub's own secret, and no bridge's: use another variable")
    if name not in environ:
        raise Refused(
            "bridge",
            f"the setting refers to the variable {name}, which this process does not have: {mend}",
        )
    return environ[name]


def _read(value: str, environ: Mapping[str, str]) -> str:
    folder = environ.get(FOLDER)
    if not folder:
        # else whoever writes definitions could have any file of this machine sent to a server of theirs
        raise Refused("bridge", f"the setting refers to {value}, and {FOLDER}, where it has to be, is not set here")
    try:
        return read(value, environ, Path(folder))
    except NoReference as exc:
        raise Refused("bridge", str(exc)) from exc


def _opened(value: str, environ: Mapping[str, str]) -> str:
    key = environ.get(KEY)
    if not key:
        raise Refused(
            "bridge",
            f"a secret is sealed, and this process has no key: set {KEY} to that of the API, or HUB_DATA to the folder "
            "that has its secret-key",
        )
    try:
        return Seal(key).open(value)
    except SealError as exc:
        raise Refused("bridge", f"a secret cannot be opened: {exc}") from exc


def with_secrets(model: type[BaseModel], settings: Mapping[str, Any], change: Change, where: str) -> dict[str, Any]:
    """A copy of `settings`, each text of a secret changed. Args: where: the path of `settings`."""
    changed = dict(settings)
    for name, field in model.model_fields.items():
        if name in changed:
            hints = (field.annotation, *field.metadata)
            changed[name] = _changed(hints, changed[name], change, f"{where}.{name}")
    return changed


def _changed(hints: tuple[Any, ...], value: Any, change: Change, where: str) -> Any:
    found = list(_flat(hints))
    if isinstance(value, str):
        return change(where, value) if any(isinstance(hint, _Mark) for hint in found) else value
    if isinstance(value, list):
        return [_changed(hints, each, change, f"{where}.{number}") for number, each in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    for hint in found:
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            return with_secrets(hint, value, change, where)
    keys = [hint for hint in found if isinstance(hint, SecretKeys)]
    return {
        name: change(f"{where}.{name}", each)
        if isinstance(each, str) and any(hint.has(name) for hint in keys)
        else each
        for name, each in value.items()
    }


def _flat(hints: tuple[Any, ...]) -> Iterator[Any]:
    """What annotations are made of: `SecretRef | None` has a mark inside."""
    for hint in hints:
        yield hint
        yield from _flat((*get_args(hint), *getattr(hint, "__metadata__", ())))


def secrets_of(model: type[BaseModel], settings: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """The values of all secrets, as far as they can be had here, for `scrubbed`."""
    found: list[str] = []

    def note(_: str, value: str) -> str:
        try:
            found.append(resolve(value, environ))
        except Refused:
            return value  # the adapter will say so itself
        return value

    with_secrets(model, settings, note, "")
    return found


_IN_URL: Final = re.compile(r"(?<=://)([^\s/?#@:]*):[^\s/@]+(?=@)")
MASK: Final = "***"
SHORTEST: Final = 4
"""A secret of fewer characters is in any text by chance."""


def masked(text: str) -> str:
    """Passwords in URLs replaced."""
    return _IN_URL.sub(rf"\1:{MASK}", text)


def scrubbed(text: str, secrets: list[str]) -> str:
    """For people: without any of these, and without passwords in URLs."""
    for secret in secrets:
        if len(secret) >= SHORTEST:
            text = text.replace(secret, MASK)
    return masked(text)

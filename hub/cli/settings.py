"""Reads the settings, once, and says in words which one is wrong."""

from __future__ import annotations

import os
from typing import Final

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from hub.references import NoReference
from hub.settings import Settings

EX_CONFIG: Final = 78
"""Exit code: a person has to act; starting again does not help. Source: sysexits.h"""


def load() -> Settings:
    """The settings of this process. Exits with 78 when one of them is wrong."""
    try:
        settings = Settings()
    except ValidationError as exc:
        for error in exc.errors():
            name = "HUB_" + "__".join(str(part).upper() for part in error["loc"])
            typer.echo(f"setting {name}: {error['msg']}", err=True)
        raise typer.Exit(EX_CONFIG) from exc
    except NoReference as exc:
        where, _, what = str(exc).partition(": ")
        typer.echo(f"setting {'HUB_' + where.upper().replace('.', '__', 1)}: {what}", err=True)
        raise typer.Exit(EX_CONFIG) from exc
    except SettingsError as exc:  # its own words have no value in them, those of its cause do
        typer.echo(f"a setting is no JSON: {exc}", err=True)
        raise typer.Exit(EX_CONFIG) from None
    for name in leftovers():
        typer.echo(f"setting {name} is not one of the hub's: see docs/settings.md", err=True)
    return settings


def leftovers() -> list[str]:
    """HUB_… variables that no setting reads: probably a slip of the pen. HUB_TEST_… are the tests' own."""
    groups = {name.upper(): field.annotation for name, field in Settings.model_fields.items()}
    return sorted(
        name
        for name in os.environ
        if name.startswith("HUB_")
        and not name.startswith("HUB_TEST_")
        and name.removeprefix("HUB_").split("__")[0].upper() not in groups
    )

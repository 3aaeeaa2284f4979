"""What the profile has agreed to."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from hub.flows.effects import ChangeField
from hub.flows.fields import Template
from hub.flows.node import OUT, THEN, Call, Config, NodeFault, Outcome, node
from hub.flows.nodes.profile import is_key
from hub.flows.times import moment_ms, written

GROUP: Final = "Consents"


class Consent(Config):
    """Which consents."""

    consents: Annotated[list[str], Field(min_length=1, max_length=100, description="Ids of consent types.")]
    granted: Annotated[bool, Field(description="false: it is taken back.")] = True
    until: Annotated[Template | None, Field(description="When it ends by itself. Unset: never.")] = None


@node("add-consent", group=GROUP)
def add_consent(config: Consent, call: Call) -> Outcome:
    """Give consents in the name of the profile, or take them back."""
    ends = None
    if config.granted and config.until is not None:
        ends = written(moment_ms(config.until(call.scope), str(config.until)))
    value = {"granted": config.granted, "revoke": ends}
    for id in config.consents:
        if not is_key(id):
            raise NodeFault(f"{id!r} is no id of a consent")
    return call.go(OUT, *(ChangeField("set", f"consents.{id}", value) for id in config.consents))


class Consented(Config):
    """To what."""

    consents: Annotated[list[str], Field(min_length=1, max_length=100, description="Ids of consent types.")]
    all: Annotated[bool, Field(description="Whether all of them are needed, or one.")] = True


@node("has-consents", group=GROUP, ports=THEN)
def has_consents(config: Consented, call: Call) -> Outcome:
    """Whether the profile has given consents, and they have not ended."""
    given = call.scope["profile"].get("consents") or {}
    held = [_is_given(given.get(id), call.now_ms) for id in config.consents]
    return call.asked(all(held) if config.all else any(held))


def _is_given(consent: Any, now_ms: int) -> bool:
    if not isinstance(consent, dict) or consent.get("granted") is not True:
        return False
    ends = consent.get("revoke")
    return ends is None or moment_ms(ends, "revoke") > now_ms

"""Events that a flow raises, and people who turn out to be one."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from hub.edge.admit import clean_id, event_type
from hub.errors import InvalidPayload
from hub.flows.effects import LookUp, MergeProfiles, RaiseEvent
from hub.flows.fields import Template
from hub.flows.loops import raised_by
from hub.flows.node import OUT, Call, Config, NodeFault, Outcome, Wait, node

GROUP: Final = "Events"
_CHARS: Final = 256


class Raise(Config):
    """Which event."""

    event_type: Annotated[Template, Field(description="Lower case, `-` for spaces.")]
    properties: Annotated[Template, Field(description="Template of an object.")] = Template({})
    profile: Annotated[Template, Field(description="Whose it is; null: nobody's.")] = Template("profile@id")
    session: Annotated[Template, Field(description="In which session; null: in none.")] = Template(None)


@node("raise-event", group=GROUP)
def raise_event(config: Raise, call: Call) -> Outcome:
    """
    Raise an event of the source `@flow`, which may trigger flows in turn.

    It says which flow and run raised it, and the how many-th it is: so flows that trigger each other come to an end.
    """
    type = event_type(_id(call.text(config.event_type), "event_type"))
    profile, session = config.profile(call.scope), config.session(call.scope)
    effect = RaiseEvent(
        id=call.id("event"),
        type=type,
        profile="" if profile is None else _id(profile, "profile"),
        session="" if session is None else _id(session, "session"),
        properties=dict(call.members(config.properties)),
        context=raised_by(call.scope["flow"], call.depth + 1),
    )
    return call.go(OUT, effect)


class Merge(Config):
    """With whom."""

    other: Annotated[Template, Field(description="Id of the other profile, such as event@properties.account.")]


@node("merge-profiles", group=GROUP)
def merge_profiles(config: Merge, call: Call) -> Outcome | Wait:
    """Make the profile and another that there is, of a given id, one person; it can be undone (docs/identity.md)."""
    own, other = call.scope["profile"].get("id"), config.other(call.scope)
    if own is None:
        raise NodeFault("there is no profile that could be merged")
    if other is None:
        return call.go()
    id = _id(other, "other")
    if id == own or id in call.scope["profile"].get("ids", ()):
        return call.go()
    if call.answer is None:
        return Wait(LookUp("profiles", "", 1, id=id))
    if call.answer.error:
        raise NodeFault(f"the store does not answer: {call.answer.error}")
    if not call.answer.body:
        # to become part of nobody would make somebody of that id
        raise NodeFault(f"other: there is no profile {id!r}")
    return call.go(OUT, MergeProfiles(call.id("merge"), id))


def _id(value: Any, where: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise NodeFault(f"{where}: an id is a text, not {value!r:.80}")
    try:
        return clean_id(value, where, _CHARS)
    except InvalidPayload as exc:
        raise NodeFault(f"{where}: {exc.detail}") from exc

"""Profiles and sessions that a batch touches: opened once, changed in drafts, versioned by the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from hub.model import Profile, Session
from hub.pipeline.documents import CLAIMED_BY, NOTHING, new_profile, new_session
from hub.pipeline.draft import Draft
from hub.pipeline.sessions import Seen, learn
from schemas.records import Track


class Open(msgspec.Struct):
    """A profile or session in hand. `version` is of the last record applied; `dirty`: it has to be written."""

    draft: Draft
    version: int
    holder: str
    created: bool = False
    dirty: bool = False
    taken: bool = False  # of a session: from another profile


class Touched:
    """The profiles and sessions of one batch."""

    def __init__(self, profiles: dict[str, Profile], sessions: dict[str, Session]) -> None:
        """Args: what the store has, by id; never changed."""
        self._stored_profiles = dict(profiles)
        self._stored_sessions = sessions
        self._profiles: dict[str, Open] = {}
        self._sessions: dict[str, Open] = {}
        self._ended: dict[str, dict[str, Any]] = {}

    def profile(self, profile_id: str, at: str) -> Open:
        """The profile with this id, one that begins `at` (RFC 3339) if there is none."""
        opened = self._profiles.get(profile_id)
        if opened is None:
            stored = self._stored_profiles.get(profile_id)
            if stored is None:
                opened = Open(Draft(new_profile(profile_id, at)), -1, profile_id, created=True)
            else:
                opened = Open(Draft(stored.doc), stored.version, profile_id)
            self._profiles[profile_id] = opened
        return opened

    def has(self, profile_id: str) -> bool:
        """Whether there is such a profile by now."""
        opened = self._profiles.get(profile_id)
        if opened is None:
            return profile_id in self._stored_profiles
        return opened.dirty or not opened.created

    def forget(self, profile_id: str) -> None:
        """The profile is none any more."""
        opened = self._profiles.pop(profile_id, None)
        if opened is not None:
            self._ended[profile_id] = opened.draft.doc
        self._stored_profiles.pop(profile_id, None)

    def documents(self, profile_id: str, session_id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """
        A profile and a session as they are now, to be read at once; of a profile that has ended in this batch, as it
        was then. Empty: there is none.
        """
        profile = _seen(self._profiles.get(profile_id), self._stored_profiles.get(profile_id))
        session = _seen(self._sessions.get(session_id), self._stored_sessions.get(session_id))
        return profile or self._ended.get(profile_id, NOTHING), session

    def put(self, profile_id: str, doc: dict[str, Any]) -> Open:
        """The profile lives again, as `doc`."""
        opened = self._profiles[profile_id] = Open(Draft(doc), -1, profile_id)
        return opened

    def give(self, session: Session, profile_id: str) -> None:
        """Let another profile hold a session from now on; its own versions begin anew."""
        opened = Open(Draft(session.doc), 0, profile_id, dirty=True, taken=True)
        opened.draft.set(("profile", "id"), profile_id)
        if claimed_by(session.doc) == profile_id:
            opened.draft.object(("metadata",)).pop(CLAIMED_BY, None)
        self._sessions[session.id] = opened

    def session(
        self, session_id: str, profile: Open, at: str, holds: Callable[[Open, str], bool], claimed_by: str
    ) -> Open:
        """
        The session with this id, held by whoever claimed it first; a new one is claimed by the profile.

        Args:
            holds: Whether a holder was merged into the profile, and so has left the session to it.
            claimed_by: The id that a new one is claimed with: the profile's own, or one that was merged into it.
        """
        opened = self._sessions.get(session_id)
        if opened is None:
            stored = self._stored_sessions.get(session_id)
            if stored is None:
                doc = new_session(session_id, profile.holder, at, claimed_by)
                opened = Open(Draft(doc), -1, profile.holder, created=True)
            else:
                # its version says nothing of that: it is below 0 as well when another profile has just taken it over
                is_new = not stored.doc["stats"]["events"]
                opened = Open(Draft(stored.doc), stored.version, stored.profile_id, created=is_new)
            self._sessions[session_id] = opened
        if opened.holder != profile.holder and (not opened.holder or holds(profile, opened.holder)):
            before, opened.holder = opened.holder, profile.holder
            # versions of two partitions cannot be compared
            opened.version, opened.taken = -1, True
            opened.draft.set(("profile", "id"), profile.holder)
            if before:
                opened.draft.object(("metadata",)).setdefault(CLAIMED_BY, before)
        return opened

    def profiles(self) -> list[Profile]:
        """Those that have to be written."""
        return [Profile(key, entry.version, entry.draft.doc) for key, entry in self._profiles.items() if entry.dirty]

    def taken(self) -> list[str]:
        """Sessions to be written that have another holder now."""
        return [key for key, entry in self._sessions.items() if entry.dirty and entry.taken]

    def sessions(self) -> list[Session]:
        """Those that have to be written."""
        return [
            Session(key, entry.holder, entry.version, entry.draft.doc)
            for key, entry in self._sessions.items()
            if entry.dirty
        ]


def _seen(opened: Open | None, stored: Profile | Session | None) -> Mapping[str, Any]:
    """Its document. One that was opened and not begun is not there."""
    if opened is None:
        return NOTHING if stored is None else stored.doc
    return opened.draft.doc if opened.dirty or stored is not None else NOTHING


def claimed_by(session: Mapping[str, Any]) -> str:
    """The profile id that a session was claimed with. Args: session: its document."""
    found: str = session["metadata"].get(CLAIMED_BY) or session["profile"]["id"]
    return found


def touch_profile(profile: Open, version: int, events: int, at: str) -> None:
    """Count `events` new events of the record with this version. Args: at: RFC 3339, when it was received."""
    draft = profile.draft
    draft.object(("metadata",))["version"] = version
    time = draft.object(("metadata", "time"))
    # never back, also if a record comes late: nothing of the profile was received after it (`privacy.carry_out`)
    time["update"] = max(time["update"], at)
    stats = draft.object(("stats",))
    stats["events"] = _number(stats.get("events")) + events
    profile.version = version
    profile.dirty = True


def touch_session(session: Open, version: int, seen: Sequence[Seen], at: str, track: Track, *, channel: str) -> None:
    """What came with the record of this version; see `sessions.learn`."""
    learn(session.draft, seen, at, track, is_new=session.created, channel=channel)
    session.version = version
    session.dirty = True


def end_session(session: Open, version: int) -> None:
    """Another session has taken its place, with the record of this version."""
    if session.version < version:
        session.draft.object(("metadata",))["status"] = "ended"
        session.version = version
        session.dirty = True


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0

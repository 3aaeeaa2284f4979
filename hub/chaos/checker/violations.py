"""What can be broken, and one that is."""

from __future__ import annotations

from typing import Final, NamedTuple

KINDS: Final = {
    "refused": "a payload without fault got another answer than 2xx or 5xx",
    "lost": "acknowledged, but not stored",
    "doubled": "stored twice, or counted twice in its profile",
    "reordered": "stored before an event of the same profile id that was acknowledged before it was sent",
    "unsent": "stored, but nobody has sent it",
    "altered": "stored with other content than was sent",
    "merge": "a person is several profiles, or two are one, or another id than the smallest survives",
    "profile": "a field of a profile is not what its events make",
    "segment": "a profile is in another segment than its events say, or a segment's list has others",
    "crossing": "the events of who has entered and left a segment do not alternate, or do not end at who is in it",
    "heartbeat": "a profile has two events of one due time, or none",
    "flow": "a flow has not run once because of an event, or what it does was not done once",
    "dead": "a message without fault is a dead letter, or a faulty one is none or several",
    "balance": "the balance sheet does not add up, or says other than the ledger",
    "down": "a process did not come back after a fault",
}
"""Every kind of violation, and what it means."""


class Violation(NamedTuple):
    """One broken promise. `kind`: of KINDS; `subject`: an event, a profile, a payload, a source."""

    kind: str
    subject: str
    detail: str

"""A store whose answers are waited for while it is away, for whoever could only end otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from hub.store.port import Writing


def patient(store: Writing, patiently: Callable[[Callable[[], Any]], Any]) -> Writing:
    """
    The same store; each call is done by `patiently`, which does it again as long as it raises Unavailable.

    Only for calls that may be done twice, and that answer with all that they have.
    """
    return cast("Writing", _Patient(store, patiently))


class _Patient:
    def __init__(self, store: Writing, patiently: Callable[[Callable[[], Any]], Any]) -> None:
        self._store = store
        self._patiently = patiently

    def __getattr__(self, name: str) -> Callable[..., Any]:
        ask = getattr(self._store, name)

        def again(*args: Any, **named: Any) -> Any:
            kept = [list(one) if isinstance(one, Iterator) else one for one in args]  # to be gone through again
            return self._patiently(lambda: ask(*kept, **named))

        setattr(self, name, again)  # the next time it is found at once
        return again

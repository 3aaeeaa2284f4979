"""Graphs of nodes by id: an order in which each comes after those that lead to it, circles, what is reached."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

Edges: TypeAlias = Mapping[str, Sequence[str]]
"""By node, those that follow it; each is a key, too."""


def ordered(edges: Edges) -> list[str]:
    """Every node that is on no circle and behind none, in an order that is the same for the same edges."""
    place = {id: number for number, id in enumerate(edges)}
    waits = dict.fromkeys(edges, 0)
    for targets in edges.values():
        for target in set(targets):
            waits[target] += 1
    ready = [place[id] for id, number in waits.items() if not number]
    heapq.heapify(ready)
    ids = list(edges)
    found: list[str] = []
    while ready:
        id = ids[heapq.heappop(ready)]
        found.append(id)
        for target in set(edges[id]):
            waits[target] -= 1
            if not waits[target]:
                heapq.heappush(ready, place[target])
    return found


def circle(edges: Edges) -> list[str]:
    """One circle, its first node at both ends; empty: there is none."""
    done: set[str] = set(ordered(edges))
    for begin in edges:
        if begin in done:
            continue
        path: list[str] = [begin]
        on_path = {begin: 0}
        while True:
            # of what `ordered` has left over, every node is on a circle or leads to one, or is behind one
            following = next((one for one in edges[path[-1]] if one not in done), None)
            if following is None:
                done.add(path.pop())
                if not path:
                    break
                on_path = {id: number for number, id in enumerate(path)}
            elif following in on_path:
                return [*path[on_path[following] :], following]
            else:
                on_path[following] = len(path)
                path.append(following)
    return []


def reached(edges: Edges, begins: Iterable[str]) -> set[str]:
    """All nodes that can be come to from these, and these."""
    found = set(begins)
    ahead = list(found)
    while ahead:
        for target in edges[ahead.pop()]:
            if target not in found:
                found.add(target)
                ahead.append(target)
    return found

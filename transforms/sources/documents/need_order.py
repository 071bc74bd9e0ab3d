"""Files in an order in which each stands behind what it needs."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence


def in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The keys of `needs`, each behind the keys that it needs; where that leaves a choice, by name.

    Files that need each other in a circle stand together, by name.

    >>> in_order({"main": ["a", "b"], "b": ["a"], "a": ["b"], "z": []})
    ['a', 'b', 'main', 'z']
    """
    groups = _circles(needs)
    home = {name: number for number, group in enumerate(groups) for name in group}
    behind: list[set[int]] = [set() for _ in groups]
    waits = [0] * len(groups)
    for name, wanted in needs.items():
        for other in wanted:
            if other in home and home[other] != home[name] and home[name] not in behind[home[other]]:
                behind[home[other]].add(home[name])
                waits[home[name]] += 1
    ready = [(group[0], number) for number, group in enumerate(groups) if not waits[number]]
    heapq.heapify(ready)
    out: list[str] = []
    while ready:
        _, number = heapq.heappop(ready)
        out += groups[number]
        for each in behind[number]:
            waits[each] -= 1
            if not waits[each]:
                heapq.heappush(ready, (groups[each][0], each))
    return out


def _circles(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Strongly connected components, each sorted (Tarjan 1972, without recursion)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    on_stack: set[str] = set()
    stack: list[str] = []
    groups: list[list[str]] = []
    for root in sorted(needs):
        if root in number:
            continue
        work = [(root, iter(sorted(needs[root])))]
        number[root] = low[root] = len(number)
        stack.append(root)
        on_stack.add(root)
        while work:
            name, rest = work[-1]
            for other in rest:
                if other not in needs:
                    continue
                if other not in number:
                    number[other] = low[other] = len(number)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(sorted(needs[other]))))
                    break
                if other in on_stack:
                    low[name] = min(low[name], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == number[name]:
                    group = []
                    while True:
                        group.append(stack.pop())
                        on_stack.discard(group[-1])
                        if group[-1] == name:
                            break
                    groups.append(sorted(group))
    return groups

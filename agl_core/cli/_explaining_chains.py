"""Credits that have a share of what other calls earned: where they lead, and which rewards are in them so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agl_core.adapter import Credit, Term

__all__ = ["chain", "counted"]


def chain(credits: Mapping[str, Credit], calls: Iterable[str]) -> list[str]:
    """The calls that these have a share of, and those that they have one of: nearest first, without these."""
    found = list(calls)
    listed = set(found)
    named = len(found)
    for call_id in found:  # grows while it is walked
        if call_id in credits:
            for following in _shares(credits[call_id].terms):
                if following in credits and following not in listed:
                    listed.add(following)
                    found.append(following)
    return found[named:]


def counted(credits: Mapping[str, Credit]) -> Mapping[str, int]:
    """By reward, how many calls have credit of it: by a term of their own, or by a share of what another earned."""
    same: dict[int, tuple[tuple[Term, ...], list[str]]] = {}
    for credit in credits.values():  # calls of a group's member have one sum, of as many terms as the group has members
        same.setdefault(id(credit.terms), (credit.terms, []))[1].append(credit.call_id)
    with_it: defaultdict[str, list[str]] = defaultdict(list)
    before: defaultdict[str, list[str]] = defaultdict(list)
    for terms, calls in same.values():
        for reward_id in {term.reward_id for term in terms if term.reward_id is not None}:
            with_it[reward_id] += calls
        for following in _shares(terms):
            before[following] += calls
    if not before:
        return {reward_id: len(calls) for reward_id, calls in with_it.items()}
    sizes = _sizes(credits, before)
    return {
        reward_id: sizes[calls[0]] if len(calls) == 1 and calls[0] in sizes else len(_all(before, calls))
        for reward_id, calls in with_it.items()
    }


def _shares(terms: Iterable[Term]) -> list[str]:
    return list(dict.fromkeys(term.call_id for term in terms if term.call_id is not None))


def _sizes(credits: Mapping[str, Credit], before: Mapping[str, Sequence[str]]) -> Mapping[str, int]:
    """By call, it and all that lead to it; empty where one leads to several, as then some would count twice.

    Without it, rewards that arrive one after another are counted in the square of their number.
    """
    shares = {call_id: _shares(credit.terms) for call_id, credit in credits.items()}
    if any(len(one) > 1 for one in shares.values()):
        return {}
    sizes: dict[str, int] = {}
    waiting = {call_id: len(before.get(call_id, ())) for call_id in credits}
    ready = [call_id for call_id, count in waiting.items() if not count]
    while ready:
        call_id = ready.pop()
        sizes[call_id] = 1 + sum(sizes[one] for one in before.get(call_id, ()))
        for following in shares[call_id]:
            if following in waiting:
                waiting[following] -= 1
                ready += [following] if not waiting[following] else []
    return sizes


def _all(before: Mapping[str, Sequence[str]], calls: Iterable[str]) -> set[str]:
    """Those calls, and all that lead to them."""
    found: set[str] = set()
    left = list(calls)
    while left:
        call_id = left.pop()
        if call_id not in found:
            found.add(call_id)
            left += before.get(call_id, ())
    return found

"""Which recorded call a request is: by what it says and where it stands, never by when it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from agl_core.errors import NotReplayable, ReplayAmbiguous, ReplayDiffers, ReplayError, ReplayUnmatched
from agl_core.events import CallRecorded, ModelCall
from agl_core.replay._alike import Alike, Plain, Renaming, Shape, plain
from agl_core.replay._forms import Form, as_it_is
from agl_core.replay._nearest import nearest
from agl_core.replay._tape import Tape, Taped

__all__ = ["Asked", "Matcher"]

QUIET = 0.02
"""Seconds for which nobody else may ask, where only the order tells whose an answer is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, as the replayed agent makes it now."""

    call_id: str
    """Of now."""
    call: ModelCall
    """What is asked, redacted as the log is; without an answer."""
    agent: str | None = None
    parent_call_id: str | None = None
    """Of now, too."""
    place: str | None = None
    retry: int | None = None
    """How often the client has asked it before, in vain, as the client counts; null where nobody counts."""

    def __str__(self) -> str:
        """As an error names it."""
        who = f" by {self.agent}" if self.agent else ""
        where = f" at {self.place}" if self.place else ""
        return f"a call of {self.call.model!r}{who}{where}"


class Matcher:
    """Gives each recorded call once. It belongs to one loop.

    A request is a recorded call when both ask the same, to the letter. Where no call of the tape does, it is one that
    asks the same but for dates and times, and for ids, each of which must have one name then and one now. Of several
    that ask the same, it is the next one of the branch of the agent's program that it stands in; or, where branches do
    not tell, any, if all were answered alike; or the next in order, if they came one after the other then, and come one
    after the other now. Else nobody knows, and that is said.

    `strict` allows no id and no date to differ; `ignore` are patterns of text that never counts. Of a fork, each of
    `explained` takes out of a request what its declared change may alter: where nothing else is found, calls of which
    the same is left are the same. The first of them that finds a call decides: what takes out least comes first.
    """

    def __init__(
        self, tape: Tape, *, strict: bool = False, ignore: Sequence[str] = (), explained: Sequence[Form] = ()
    ) -> None:
        self.tape = tape
        self._alike = Alike(strict=strict, ignore=ignore)
        self._forms = (as_it_is, *explained)
        self._shelves: list[_Shelf] = []
        """The tape sorted by each of the forms, as far as they were needed."""
        self._exact = _sorted_by(self._alike.exact, tape)
        self._timeless: Mapping[str, Sequence[Taped]] | None = None
        self._renaming = Renaming()
        self._left = {one.call_id: one for one in tape}
        self._recorded: dict[str, str | None] = {}
        """By its id of now, which recorded call each is; None where it may be another one, that was answered alike."""
        self._waiting: set[str] = set()
        """Calls of now that are held back until it is sure that nobody else asks."""
        self._disturbed: set[str] = set()

    @property
    def answered(self) -> int:
        """How many of the tape were given."""
        return len(self.tape) - len(self._left)

    def left(self) -> tuple[Taped, ...]:
        """Recorded, and not asked for until now."""
        return tuple(self._left.values())

    def origin(self, call_id: str) -> str | None:
        """The recorded call that a call of now is, if it cannot be another one, which was answered alike."""
        return self._recorded.get(call_id)

    async def match(self, asked: Asked) -> CallRecorded:
        """The recorded call that `asked` is.

        Raises `ReplayUnmatched`, `ReplayDiffers` or `ReplayAmbiguous`; and `NotReplayable`, where it was asked then,
        too, and nobody knows what came of it.
        """
        if self._waiting:
            self._disturbed |= {*self._waiting, asked.call_id}
        said = plain(asked.call)
        group = self._group(asked, said)
        found, is_sure = self._in_place(asked, group), True
        if found is None and len({_answer(one.call) for one in group.fit}) == 1:
            found, is_sure = group.free[0], False
        if found is None:
            found = await self._in_order(asked, group)
        return self._given(asked, said, found, is_sure=is_sure, is_exact=group.is_exact)

    def _group(self, asked: Asked, said: Plain) -> _Group:
        """The recorded calls that it may be, of which at least one is free."""
        exact = self._known(asked, self._exact.get(self._alike.exact(said), ()))
        if exact.free:
            return self._checked(asked, said, exact)
        self._not_once_more(asked, exact.all)
        for group in self._renamed(asked):
            if group.free:
                return group
            self._not_once_more(asked, group.all)
        raise self._departed(asked)

    def _renamed(self, asked: Asked) -> Iterator[_Group]:
        """Those that are the same when what may differ is left out, by each of the forms."""
        for number, form in enumerate(self._forms):
            if number == len(self._shelves):
                self._shelves.append(_Shelf.of(self.tape, self._alike, form))
            shelf, shape = self._shelves[number], self._alike.shape(plain(form(asked.call)))
            fitting = (
                one.call_id for one in shelf.same(shape) if self._renaming.fits(shelf.shapes[one.call_id], shape)
            )
            yield self._known(asked, shelf.same(shape), only=frozenset(fitting))

    def _known(self, asked: Asked, same: Iterable[Taped], *, only: frozenset[str] | None = None) -> _Group:
        """Those of which nothing that is known beside what they say is otherwise."""
        all_ = [one for one in same if not self._apart(asked, one)]
        fit = all_ if only is None else [one for one in all_ if one.call_id in only]
        free = [one for one in fit if self._is_free(one)]
        return _Group(all=all_, fit=fit, free=free, is_exact=only is None)

    def _in_place(self, asked: Asked, group: _Group) -> Taped | None:
        """The only one, or the next one of its branch; None where that is not known."""
        if len(group.all) == 1:
            return group.free[0]
        branch = asked.place and asked.place.rpartition(":")[0]
        own = [one for one in group.all if one.branch == branch and branch is not None]
        if own:
            self._not_once_more(asked, own)
            free = [one for one in group.free if one.branch == branch]
            if not free:  # another id stands there
                raise self._departed(asked)
            return min(free, key=lambda one: one.ordinal)
        return group.free[0] if len(group.fit) == 1 else None

    async def _in_order(self, asked: Asked, group: _Group) -> Taped:
        """The next one, if they came one after the other, and do so now."""
        if any(one.call_id not in self.tape.alone for one in group.fit):
            why = "they were asked beside others then, and no branch of the agent's program is known to be this one's"
            raise group.ambiguous(asked, why)
        self._waiting.add(asked.call_id)
        try:
            await asyncio.sleep(QUIET)
        finally:
            self._waiting.discard(asked.call_id)
        if asked.call_id in self._disturbed:
            why = "they came one after the other then, and now others are asked beside this one"
            raise group.ambiguous(asked, why)
        return min(group.free, key=lambda one: (one.call.started_at, one.position))

    def _checked(self, asked: Asked, said: Plain, group: _Group) -> _Group:
        """Not to be taken for another one because the clock shows what it showed at that one."""
        branch = asked.place and asked.place.rpartition(":")[0]
        if branch is None or any(one.call.place == asked.place for one in group.free):
            return group
        if self._timeless is None:
            self._timeless = _sorted_by(self._alike.timeless, self.tape)
        others = self._timeless.get(self._alike.timeless(said), ())
        own = [one for one in others if one.branch == branch and self._is_free(one)]
        first = min(own, key=lambda one: one.ordinal, default=None)
        if first is not None and first not in group.all:
            why = f"it says what {group.free[0].call_id} does, and by its place it is {first.call_id}, of another time"
            raise replace(group, free=[*group.free, first]).ambiguous(asked, why)
        return group

    def _not_once_more(self, asked: Asked, same: Sequence[Taped]) -> None:
        """Of what was asked before, not more than there was."""
        if same and all(one.call_id not in self._left for one in same):
            times = "once" if len(same) == 1 else f"{len(same)} times"
            raise ReplayUnmatched(str(asked), why=f"it was asked {times} then ({same[-1].call_id}), and now once more")

    def _given(self, asked: Asked, said: Plain, found: Taped, *, is_sure: bool, is_exact: bool) -> CallRecorded:
        del self._left[found.call_id]
        self._recorded[asked.call_id] = found.call_id if is_sure else None
        if is_sure:
            self._learn(said, found, is_exact=is_exact)
        if found.call.status == "unknown":
            why = f"it was asked then, too ({found.call_id}), and nobody knows what came of it"
            raise NotReplayable(str(asked), why=why, cure="Go on live from before it, with `--fork-at`")
        return found.call

    def _learn(self, said: Plain, found: Taped, *, is_exact: bool) -> None:
        """Which ids of now are which of then; nothing where more than ids differs."""
        if is_exact:
            same = self._alike.ids(said)
            self._renaming.learn(same, same)
            return
        then, now = self._alike.shape(plain(found.call.call)), self._alike.shape(said)
        if then.key == now.key:
            self._renaming.learn(then.ids, now.ids)

    def _apart(self, asked: Asked, one: Taped) -> tuple[Mapping[str, object], ...]:
        """What is known of both beside what they say, and is not the same."""
        parent = self._recorded.get(asked.parent_call_id) if asked.parent_call_id else None
        both = {
            "agent": (one.call.agent, asked.agent),
            "parent_call_id": (one.call.parent_call_id, parent),
            "tries": (one.tried, asked.retry),
        }
        return tuple(
            {"at": at, "recorded": then, "asked": now}
            for at, (then, now) in both.items()
            if then is not None and now is not None and then != now
        )

    def _is_free(self, one: Taped) -> bool:
        """Whether it is still to come; what was asked again comes after what had failed."""
        return one.call_id in self._left and one.call.retry_of not in self._left

    def _departed(self, asked: Asked) -> ReplayError:
        """Nothing is the same: what comes nearest, and where that differs."""
        left = self.left()
        if not left:
            lost = f"; {self.tape.lost} facts of it could not be kept then" if self.tape.lost else ""
            return ReplayUnmatched(str(asked), why=f"all {len(self.tape)} calls of the log were asked before{lost}")
        form = self._forms[-1]
        found = nearest(form(asked.call), asked.place, left, form)
        if found is None:
            why = f"nothing that is left is like it; {left[0].call_id} would be the next"
            return ReplayUnmatched(str(asked), why=why)
        sides = (plain(form(found.call.call)), plain(form(asked.call)))
        # The same in all that it says: it is another's, or it comes again before it came.
        tries = ({"at": "tries", "recorded": found.tried, "asked": asked.retry or 0},)
        difference = self._alike.differences(*sides) or self._apart(asked, found) or tries
        return ReplayDiffers(str(asked), recorded=found.call_id, difference=difference)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Recorded calls that ask the same."""

    all: Sequence[Taped]
    fit: Sequence[Taped]
    """Those whose ids may be those of now."""
    free: Sequence[Taped]
    """Those of them that are still to come."""
    is_exact: bool
    """Whether they are the same to the letter."""

    def ambiguous(self, asked: Asked, why: str) -> ReplayAmbiguous:
        return ReplayAmbiguous(str(asked), candidates=[one.call_id for one in self.free], why=why)


@dataclass(frozen=True, slots=True)
class _Shelf:
    """A tape, sorted by what may not differ."""

    shapes: dict[str, Shape] = field(default_factory=dict)
    by_key: dict[str, list[Taped]] = field(default_factory=dict)

    @classmethod
    def of(cls, tape: Tape, alike: Alike, form: Form) -> _Shelf:
        shelf = cls()
        for one in tape:
            shape = shelf.shapes[one.call_id] = alike.shape(plain(form(one.call.call)))
            shelf.by_key.setdefault(shape.key, []).append(one)
        return shelf

    def same(self, shape: Shape) -> Sequence[Taped]:
        return self.by_key.get(shape.key, ())


def _sorted_by(key: Callable[[Plain], str], tape: Tape) -> Mapping[str, Sequence[Taped]]:
    found: dict[str, list[Taped]] = {}
    for one in tape:
        found.setdefault(key(plain(one.call.call)), []).append(one)
    return found


def _answer(call: CallRecorded) -> bytes:
    """What an agent heard, as far as it can tell one answer from another."""
    shows = bool(call.call.extra.get("logprobs"))
    heard = [replace(one, token_ids=(), logprobs=one.logprobs if shows else ()) for one in call.call.choices]
    told = call.call.extra.get("$response")
    vectors = told.get("data") if not heard and isinstance(told, Mapping) else None  # of embeddings
    return msgspec.json.encode([call.status, call.error, call.http_status, heard, vectors], order="deterministic")

"""An adapter from its name and options, and back: what a log keeps of it makes an equal one."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import pytest

import agl_core as agl
from agl_core.adapter import Adapted, Adapter
from agl_core.errors import BadValue, UnknownName
from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.run import Run
from agl_core.run._adapters import adapter, options


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """An adapter that others are told of."""

    name: ClassVar[str] = "share"
    gamma: float = 1.0

    def __call__(self, traces: Any) -> Adapted[Any]:
        """No row."""
        return Adapted(rows=(), kept=0)


@dataclass(frozen=True, slots=True)
class Window:
    """A value that is no adapter."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Cut:
    """An adapter with options of every kind."""

    name: ClassVar[str] = "cut"
    level: str = "all"
    _: KW_ONLY
    credit: Adapter[Any] | None = None
    window: Any = None
    key: Any = None

    def __post_init__(self) -> None:
        if self.level not in {"all", "some"}:
            raise BadValue("level", self.level, why="it is 'all' or 'some'")

    def __call__(self, traces: Any) -> Adapted[Any]:
        """No row."""
        return Adapted(rows=(), kept=0)


@dataclass(frozen=True, slots=True)
class Rule:
    """Takes the place of the adapter that assigns credit."""

    name: ClassVar[str] = "rewards"
    rule: str = "final"
    gamma: float = 1.0

    def __call__(self, traces: Any) -> Adapted[Any]:
        """No row."""
        return Adapted(rows=(), kept=0)


class Plain:
    """An adapter that is no dataclass: nobody can ask it what it was told."""

    name = "plain"

    def __init__(self, *, size: int) -> None:
        self.size = size

    def __call__(self, traces: Any) -> Adapted[Any]:
        """No row."""
        return Adapted(rows=(), kept=0)


@pytest.fixture
def plugins(monkeypatch):
    """Those of the core, and the adapters above."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    plugins = Plugins.load()

    class Registers:
        @hookimpl
        def agl_register_adapters(self) -> Any:
            return {"share": Share, "cut": Cut, "plain": Plain, "rewards": Rule}

    plugins.register(Registers(), name="cutting")
    return plugins


def test_an_option_that_is_a_mapping_with_a_name_is_an_adapter(plugins):
    """As `run.adapt(outcomes, "cut", credit={"name": "share", "gamma": 0.9})` has it."""
    made = adapter(plugins, "cut", {"level": "some", "credit": {"name": "share", "gamma": 0.9}})

    assert made == Cut("some", credit=Share(gamma=0.9))


@pytest.mark.parametrize(
    ("short", "made"),
    [
        ("share", Share()),
        ("sum", Rule("sum")),
        ({"rule": "discounted", "gamma": 0.9}, Rule("discounted", 0.9)),
        ({"name": "share", "gamma": 0.5}, Share(gamma=0.5)),
    ],
    ids=["adapter", "rule", "options", "at length"],
)
def test_credit_may_be_said_in_short(plugins, short, made):
    """An adapter by its name, else a rule of `rewards`, or options of it: in each place that takes `credit`."""
    assert adapter(plugins, "cut", {"credit": short}) == Cut(credit=made)


@pytest.mark.parametrize(
    "given",
    [Cut(), Cut("some"), Cut(credit=Share(gamma=0.5)), Cut(credit=Cut("some", credit=Share()))],
    ids=["default", "told", "nested", "nested twice"],
)
def test_its_options_make_an_equal_one(plugins, given):
    """All of them, the defaults too: what a default is may change."""
    told = options(plugins, given)

    assert told is not None
    assert told.keys() == {"level", "credit", "window", "key"}
    assert adapter(plugins, "cut", told) == given


def test_a_value_among_the_options_is_kept_as_a_mapping(plugins):
    """It is for the log."""
    told = options(plugins, Cut(window=Window(1, 2)))

    assert told is not None
    assert told["window"] == {"first": 1, "last": 2}


@pytest.mark.parametrize(
    "given",
    [
        Plain(size=1),
        Cut(credit=Plain(size=1)),
        Cut(key=print),
    ],
    ids=["no dataclass", "one of its options", "no plain value"],
)
def test_what_cannot_be_written_down_is_none(plugins, given):
    """The batch is made all the same."""
    assert options(plugins, given) is None


def test_an_adapter_that_is_not_the_registered_one_has_no_options(plugins):
    """By that name another would be made."""

    @dataclass(frozen=True)
    class Impostor:
        name: ClassVar[str] = "share"

        def __call__(self, traces: Any) -> Adapted[Any]:
            return Adapted(rows=(), kept=0)

    assert options(plugins, Impostor()) is None


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("cut", {"levle": "all"}, "adapter cut = .'levle'. is refused: its options are level, credit, window, key"),
        ("cut", {"credit": {"name": "share", "gama": 1}}, "adapter share = .'gama'. is refused: its options are gamma"),
        ("cut", {"level": "none"}, "it is 'all' or 'some'"),
        ("plain", {"sise": 1}, "adapter plain = .* is refused: .*sise"),
    ],
)
def test_an_option_that_it_does_not_have_is_refused(plugins, name, given, why):
    """With those it has, and with nothing of Python's own chained to it."""
    with pytest.raises(BadValue, match=why) as refused:
        adapter(plugins, name, given)

    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_an_adapter_that_nobody_brings_is_refused(plugins):
    """Inside of another, too."""
    with pytest.raises(UnknownName, match="shares"):
        adapter(plugins, "cut", {"credit": {"name": "shares"}})


def test_a_run_makes_one_before_anything_is_spent(plugins, tmp_path):
    """An algorithm that does so first finds a mistake before its first rollout."""
    made = []

    class Hasty:
        name = "hasty"

        async def run(self, run: Run) -> None:
            made.append(run.adapter("cut", credit={"name": "share"}))
            run.adapter("cut", credit={"name": "shares"})

    @agl.rollout
    def solve(task: Any) -> float:
        return 1.0

    trainer = agl.Trainer(algorithm=Hasty(), store=str(tmp_path / "run.db"), plugins=plugins)

    with pytest.raises(UnknownName, match="shares"):
        trainer.fit(solve, train_dataset=[{"q": 1}])
    assert made == [Cut(credit=Share())]

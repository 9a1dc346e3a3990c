"""What is wrong with how a plugin implements a hook is refused when it is registered, and named."""

from types import SimpleNamespace

import pytest

from agl_core import hookspecs
from agl_core.errors import PluginBroken
from agl_core.hookspecs import hookimpl
from agl_core.plugins import SPECS, hook_kind


def function(source, *, mark="hookimpl"):
    """A function by its source, marked as a hook."""
    space = {"hookimpl": hookimpl}
    exec(f"@{mark}\n{source}" if mark else source, space)  # noqa: S102 - the fault is in how it is written
    return next(value for name, value in space.items() if name not in {"__builtins__", "hookimpl"})


FAULTS = [
    ("def agl_recorded(rekord): ...", "agl_recorded", "rekord", "there is no argument 'rekord'; it takes record"),
    ("def agl_register_adapters(config): ...", "agl_register_adapters", "config", "it takes none"),
    ("def agl_recorded(**given): ...", "agl_recorded", "given", "nothing would go into **given: name the arguments"),
    ("def agl_recorded(*given): ...", "agl_recorded", "given", "nothing would go into *given"),
    ("def agl_recorded(record=None): ...", "agl_recorded", "record", "has a default, and would always be that"),
    ("def on_rollout_start(*, agent): ...", "on_rollout_start", "agent", "by keyword only: take the * before it away"),
    ("async def agl_recorded(record): ...", "agl_recorded", "", "agl_recorded is async, and nobody would await it"),
    ("def agl_recordet(record): ...", "agl_recordet", "", "did you mean agl_recorded?"),
    ("def agl_make_coffee(): ...", "agl_make_coffee", "", "there is no hook called agl_make_coffee"),
]


@pytest.mark.parametrize(("source", "hook", "argument", "why"), FAULTS)
def test_a_fault_is_named(plugins, source, hook, argument, why):
    """Plugin, hook and argument, and what would have come of it."""
    implementation = function(source)

    with pytest.raises(PluginBroken) as raised:
        plugins.register(SimpleNamespace(**{implementation.__name__: implementation}), name="faulty")

    assert (raised.value.plugin, raised.value.hook, raised.value.argument) == ("faulty", hook, argument)
    assert why in str(raised.value)
    assert raised.value.code == "PLUGIN_BROKEN"


@pytest.mark.parametrize("source", ["def agl_recorded(record): ...", "def on_rollout_end(agent): ..."])
def test_a_hook_without_its_mark_is_refused(plugins, source):
    """It looks like one, and nothing would call it."""
    implementation = function(source, mark="")

    with pytest.raises(PluginBroken, match=f"{implementation.__name__} has no @hookimpl"):
        plugins.register(SimpleNamespace(**{implementation.__name__: implementation}), name="unmarked")


@pytest.mark.parametrize("mark", ["hookimpl(wrapper=True)", "hookimpl(hookwrapper=True)"])
def test_no_plugin_stands_around_another(plugins, mark):
    """Each is asked by itself, so that none can keep another from being heard."""
    wrapper = function("def agl_recorded(record):\n    yield", mark=mark)

    with pytest.raises(PluginBroken, match="agl_recorded is a wrapper"):
        plugins.register(SimpleNamespace(agl_recorded=wrapper), name="wrapper")


def test_a_refused_plugin_leaves_nothing_behind(plugins):
    """Also of those hooks of it that are as they should be."""
    good, bad = function("def agl_run_started(run): ..."), function("def agl_recorded(rekord): ...")

    with pytest.raises(PluginBroken):
        plugins.register(SimpleNamespace(agl_run_started=good, agl_recorded=bad), name="half")

    assert plugins.asked("agl_run_started") == []
    assert not plugins.manager.has_plugin("half")
    assert "half" not in {loaded.name for loaded in plugins.loaded}


def test_all_faults_of_a_plugin_are_told_at_once(plugins):
    """Not one a start."""
    one, other = function("def agl_recorded(rekord): ..."), function("def agl_run_started(rum): ...")

    with pytest.raises(PluginBroken, match=r"rekord.*; .*rum"):
        plugins.register(SimpleNamespace(agl_recorded=one, agl_run_started=other), name="faulty")


@pytest.mark.parametrize(
    "source",
    [
        "def agl_recorded(): ...",
        "def agl_recorded(record, kept=[]): ...",
        "async def on_rollout_start(agent, rollout): ...",
    ],
)
def test_what_would_work_is_taken(plugins, source):
    """Fewer arguments, more of one's own with a default, and async where it is awaited."""
    implementation = function(source)

    plugins.register(SimpleNamespace(**{implementation.__name__: implementation}), name="fine")

    assert plugins.asked(implementation.__name__) == ["fine"]


def test_a_hook_of_a_later_version_may_be_optional(plugins):
    """One distribution for two versions of the core."""
    later = function("def agl_read_minds(mind): ...", mark="hookimpl(optionalhook=True)")

    plugins.register(SimpleNamespace(agl_read_minds=later), name="early")

    assert plugins.loaded[-1].name == "early"


def test_every_hook_is_of_a_kind():
    """And the page says which."""
    assert {hook_kind(hook) for hook in SPECS} == {"gather", "first answer wins", "transform", "notify"}
    assert hook_kind("agl_open_log") == "first answer wins"
    assert set(SPECS) == {name for name in vars(hookspecs) if name.startswith(("agl_", "on_"))}

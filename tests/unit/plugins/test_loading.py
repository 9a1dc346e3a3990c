"""Plugins come in one by one, A to Z; whatever one does, the others and the tool go on."""

import logging
import threading

import pytest

from agl_core.errors import PluginBroken, UnknownName
from agl_core.plugins import Plugins, _loading

ADAPTER = """
class Adapter:
    name = "{0}"

@hookimpl
def agl_register_adapters():
    return {{"{0}": Adapter}}
"""
HOOK = "@hookimpl\ndef agl_run_started(run):\n    run.append(__name__)\n"


def by_name(plugins):
    """What is known of each that was wanted."""
    return {loaded.name: loaded for loaded in plugins.loaded}


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("raise ValueError('not today')", "ValueError: not today"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("class Panic(BaseException): ...\nraise Panic('compiled code fell over')", "Panic: compiled code fell over"),
        ("def (", "SyntaxError: invalid syntax"),
        ("import warnings; warnings.warn('old', DeprecationWarning)", "DeprecationWarning: old"),
        ("@hookimpl\ndef agl_regster_adapters(): return {}", "did you mean agl_register_adapters?"),
    ],
)
def test_a_plugin_that_does_not_load_is_listed_with_its_error(install, source, error):
    """Whatever it raises; its neighbours are there."""
    install("good", ADAPTER.format("good"))
    install("bad", source, version="2.1")

    plugins = Plugins.load()

    bad = by_name(plugins)["bad"]
    assert error in bad.error
    assert (bad.status, bad.version, bad.distribution, bad.hooks) == ("broken", "2.1", "agl-bad", ())
    assert plugins.adapter("good").name == "good"
    assert not plugins.manager.has_plugin("bad")


def test_what_is_left_out_is_said_once(install, caplog):
    """A run without its tracer looks like one whose agents did nothing; who lists plugins sees it there."""
    install("said-once", "raise ValueError('no')")

    Plugins.load(lenient=True)
    assert caplog.text == ""
    Plugins.load()
    Plugins.load()

    assert caplog.text.count("plugin 'said-once' is broken, and left out: ValueError: no") == 1


def test_a_person_who_interrupts_is_obeyed(install):
    """Loading stops; the plugin that was loading is named."""
    install("slow", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt) as raised:
        Plugins.load()

    assert raised.value.__notes__ == ["while plugin 'slow' was loading"]


def test_a_plugin_that_hangs_is_named(install, monkeypatch):
    """Nothing can stop an import but a person, who is told what to leave out."""
    monkeypatch.setattr(_loading, "_LONG", 0.01)
    heard, said = threading.Event(), []
    monkeypatch.setattr("builtins.heard_of_a_slow_plugin", heard, raising=False)

    class Listening(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())
            heard.set()

    handler = Listening()
    logging.getLogger(_loading.__name__).addHandler(handler)
    install("slow", "import builtins\nassert builtins.heard_of_a_slow_plugin.wait(30)")

    plugins = Plugins.load()

    logging.getLogger(_loading.__name__).removeHandler(handler)
    assert by_name(plugins)["slow"].status == "active"
    assert "'slow' is still loading" in said[0]
    assert "AGL_DISABLE_PLUGINS=slow" in said[0]


def test_plugins_are_asked_a_to_z_after_the_core(install):
    """Whatever order the file system has them in."""
    modules = {name: install(name, HOOK) for name in ("beta", "alpha", "gamma")}
    plugins, order = Plugins.load(), []

    plugins.notify("agl_run_started", pytest.fail, run=order)

    assert order == [modules["alpha"], modules["beta"], modules["gamma"]]
    assert plugins.asked("agl_open_log")[0] == "builtin"


def test_two_distributions_that_claim_a_name_are_both_refused(install):
    """Nobody could say which would win, so none does; both are named."""
    install("twin", HOOK, distribution="other-twin", version="3.0")
    install("twin", HOOK, distribution="agl-twin")

    twin = by_name(Plugins.load())["twin"]

    assert "agl-twin 1.0 and other-twin 3.0 have an entry point of that name" in twin.error
    assert twin.distribution == "agl-twin, other-twin"


def test_a_module_behind_two_names_is_one_plugin(install):
    """It is not asked twice."""
    module = install("first", HOOK)
    install("second", "", target=module)
    plugins, order = Plugins.load(), []

    plugins.notify("agl_run_started", pytest.fail, run=order)

    assert order == [module]
    assert sorted(loaded.status for loaded in plugins.loaded) == ["active", "active", "broken"]


def test_nobody_else_is_the_core(install):
    """Its name is taken."""
    install("builtin", HOOK)

    listed = [loaded for loaded in Plugins.load().loaded if loaded.name == "builtin"]

    assert [loaded.status for loaded in listed] == ["active", "broken"] or [loaded.status for loaded in listed] == [
        "broken",
        "active",
    ]


def test_a_class_is_no_plugin(install):
    """Its methods would miss their self."""
    module = install("classy", "class Plugin:\n    @hookimpl\n    def agl_run_started(self, run): ...\n")
    install("instance", "", target=f"{module}:Plugin")

    assert (
        "it is the class Plugin: register a module, or an instance of it" in by_name(Plugins.load())["instance"].error
    )


def test_a_disabled_plugin_is_not_imported(install, monkeypatch):
    """It is known all the same."""
    install("loud", "raise SystemExit('imported')")
    monkeypatch.setenv("AGL_DISABLE_PLUGINS", "loud")

    plugins = Plugins.load()

    assert [(one.name, one.status, one.disabled_by) for one in plugins.disabled if one.name == "loud"] == [
        ("loud", "disabled", "AGL_DISABLE_PLUGINS")
    ]
    assert "loud" not in by_name(plugins)


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        (
            {"AGL_REQUIRED_PLUGINS": "absent"},
            "'absent' is broken: it is required (AGL_REQUIRED_PLUGINS) and not installed",
        ),
        ({"AGL_REQUIRED_PLUGINS": "good,bad"}, "'bad' is broken: ValueError: no"),
        ({"AGL_REQUIRED_PLUGINS": "good", "AGL_DISABLE_PLUGINS": "good,bad"}, "AGL_DISABLE_PLUGINS leaves it out"),
        ({"AGL_STRICT_PLUGINS": "1"}, "'bad' is broken: ValueError: no"),
    ],
)
def test_what_must_be_there_is_raised_when_it_is_not(install, monkeypatch, variables, why):
    """Before anything is done; who looks at plugins sees them all the same."""
    install("good", HOOK)
    install("bad", "raise ValueError('no')")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(PluginBroken) as raised:
        Plugins.load()

    assert why in str(raised.value)
    assert Plugins.load(lenient=True).loaded


@pytest.mark.parametrize("target", ["not a module!", "", "missing_module:thing", "json:no_such_thing", "json.decoder:"])
def test_an_entry_point_that_names_nothing_is_broken(install, target):
    """However it is written."""
    install("odd", "", target=target or ".")

    assert by_name(Plugins.load())["odd"].status == "broken"


def test_metadata_that_is_missing_is_no_reason_to_do_without_a_plugin(install, tmp_path):
    """Its version is not known, and it works."""
    module = install("bare", HOOK)
    (tmp_path / "agl_bare-1.0.dist-info" / "METADATA").unlink()

    bare = by_name(Plugins.load())["bare"]

    assert (bare.status, bare.version) == ("active", None)
    assert bare.distribution == module


def test_a_name_that_is_missing_says_which_plugin_would_have_brought_it(install, monkeypatch):
    """It is not installed wrongly, but broken, or left out."""
    install("gone", "raise ValueError('no')")
    install("off", ADAPTER.format("off"))
    monkeypatch.setenv("AGL_DISABLE_PLUGINS", "off")
    plugins = Plugins.load()

    with pytest.raises(UnknownName) as raised:
        plugins.algorithm("gone")
    assert raised.value.__notes__ == ["plugin 'gone' is broken: ValueError: no"]
    with pytest.raises(UnknownName) as raised:
        plugins.adapter("off")
    assert raised.value.__notes__ == ["plugin 'off' is disabled: AGL_DISABLE_PLUGINS"]


def test_a_plugin_that_is_asked_for_and_not_there_is_said(monkeypatch, caplog):
    """A name that is misspelt leaves out what was meant."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "builtin,tripplets")

    Plugins.load()

    assert "AGL_LOAD_PLUGINS names 'tripplets', and no plugin of that name is installed" in caplog.text
    assert "'builtin'" not in caplog.text


def test_loading_is_told_in_milliseconds(install):
    """Of the one who imported it; who finds it imported paid nothing."""
    install("good", HOOK)

    first, again = by_name(Plugins.load())["good"], by_name(Plugins.load())["good"]

    assert first.load_ms > 0
    assert again.load_ms is None


def test_nothing_is_loaded_from_where_one_stands(tmp_path, monkeypatch):
    """A folder of plugins is none: what is installed is, and nothing else."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "agl_evil.py").write_text("raise SystemExit('loaded')")
    (tmp_path / "agl_evil.py").write_text("raise SystemExit('loaded')")
    monkeypatch.chdir(tmp_path)

    found = Plugins.load()

    assert "evil" not in {loaded.name for loaded in (*found.loaded, *found.disabled)}

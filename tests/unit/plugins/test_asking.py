"""Who is asked for something and raises, or answers amiss: whose fault it is stands in what is raised."""

import click
import pytest

from agl_core.errors import LogReadOnly, MissingExtra, PluginBroken
from agl_core.events import Event, PluginFailed, SpanRecorded, Unknown, Upcast, event
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.record import Draft
from agl_core.spans import DIALECTS, SpanMeaning, meaning

from ._asked import plugin, raising


@event("weather.changed", schema=1)
class WeatherChanged(Event):
    """A plugin's own fact."""

    sky: str


@event("weather.changed", schema=1)
class OtherWeather(Event):
    """Another's, of the same name."""

    sky: str


GATHER = [
    ("agl_register_adapters", lambda plugins: plugins.adapter("triplets")),
    ("agl_register_algorithms", lambda plugins: plugins.algorithms()),
    ("agl_register_events", lambda plugins: plugins.codec()),
    ("agl_register_dialects", lambda plugins: plugins.dialects()),
    ("agl_register_exporters", lambda plugins: plugins.exporters()),
    ("agl_register_reactions", lambda plugins: plugins.reactions()),
]


FIRST = [
    ("agl_open_log", ["url"], lambda plugins: plugins.open_log("carrier-pigeon://roof")),
    ("agl_open_engine", ["url"], lambda plugins: plugins.open_engine("brain:mine", "policy")),
    ("agl_open_executor", ["name"], lambda plugins: plugins.open_executor("friends", {})),
]


# --- gather


@pytest.mark.parametrize(("hook", "ask"), GATHER)
@pytest.mark.parametrize("error", [ValueError("not today"), SystemExit(3)], ids=["error", "exit"])
def test_what_a_gathering_hook_raises_is_its_plugins_fault(plugins, hook, ask, error):
    """By name, with the cure; and switched off, it is in nobody's way."""
    plugins.register(plugin(hook, raising(error)), name="guilty")

    with pytest.raises(PluginBroken, match=rf"'guilty' is broken: {hook} raised {type(error).__name__}") as raised:
        ask(plugins)

    assert raised.value.__cause__ is error
    assert "AGL_DISABLE_PLUGINS=guilty" in str(raised.value)


@pytest.mark.parametrize(
    ("hook", "answer", "why"),
    [
        ("agl_register_adapters", ["triplets"], "answered with no mapping of names"),
        ("agl_register_algorithms", {"mine": 42}, "'mine' is 42, of which nothing can be made"),
        ("agl_register_events", [42], "42 is neither an event nor an upcast"),
        ("agl_register_events", 42, "'int' object is not iterable"),
        ("agl_register_events", [Upcast("weather.changed", 1, dict)], "no event has that name"),
        ("agl_register_dialects", [42], "42 is no dialect"),
        ("agl_register_exporters", {"mine": 42}, "'mine' is 42, of which nothing can be made"),
    ],
)
def test_an_answer_that_is_none_is_its_plugins_fault(plugins, hook, answer, why):
    """Told where it is gathered, not where it is used."""
    ask = dict(GATHER)[hook]
    plugins.register(plugin(hook, lambda: answer), name="guilty")

    with pytest.raises(PluginBroken, match=f"'guilty' is broken: {hook}.*{why}"):
        ask(plugins)


@pytest.mark.parametrize("hook", ["agl_register_adapters", "agl_register_algorithms", "agl_register_exporters"])
def test_a_name_that_is_taken_names_both(plugins, hook):
    """The one who came first, and the one who is refused."""
    plugins.register(plugin(hook, lambda: {"mine": object}), name="b-later")
    plugins.register(plugin(hook, lambda: {"mine": object}), name="a-first")

    with pytest.raises(PluginBroken, match=r"'b-later' is broken.*'mine' is taken by plugin 'a-first'"):
        dict(GATHER)[hook](plugins)


def test_of_events_that_clash_the_second_plugin_is_named(plugins):
    """All of its events are left out where a log is only read, and none of the first one's."""
    plugins.register(plugin("agl_register_events", lambda: [OtherWeather]), name="b-later")
    plugins.register(plugin("agl_register_events", lambda: [WeatherChanged]), name="a-first")
    problems: list[PluginFailed] = []

    with pytest.raises(PluginBroken, match=r"'b-later' is broken: agl_register_events.*two classes claim the name"):
        plugins.codec()

    encoded = plugins.codec(problems.append).encode(WeatherChanged(sky="grey"))
    assert encoded.type == "weather.changed"
    assert [(problem.name, problem.hook) for problem in problems] == [("b-later", "agl_register_events")]


def test_a_log_is_read_without_the_facts_of_a_broken_plugin(plugins, tmp_path, caplog):
    """They are unknown, and as they were; writing waits until the plugin is mended or left out."""
    plugins.register(plugin("agl_register_events", lambda: [WeatherChanged]), name="weather")
    path = str(tmp_path / "log.db")
    with plugins.open_log(path) as log:
        log.append([Draft(stream="log", event=WeatherChanged(sky="grey"))])
    broken = Plugins.load()
    broken.register(plugin("agl_register_events", raising(ValueError("no"))), name="weather")

    with broken.open_log(path, readonly=True) as log:
        (fact,) = [record.event for record in log.read()]

    assert isinstance(fact, Unknown)
    assert (fact.name, fact.data) == ("weather.changed", {"sky": "grey"})
    assert "the facts of plugin 'weather' are read as they lie: ValueError: no" in caplog.text
    with pytest.raises(PluginBroken):
        broken.open_log(path)


def test_commands_come_whole_or_not_at_all(plugins):
    """One that raises leaves none behind; of two of a name the first stays."""
    problems: list[PluginFailed] = []

    def greet_too(cli):
        cli.add_command(click.Command("greet"))

    def half(cli):
        cli.add_command(click.Command("half"))
        raise ValueError("no")

    def greet(cli):
        cli.add_command(click.Command("greet"))

    plugins.register(plugin("agl_register_commands", half), name="half")
    plugins.register(plugin("agl_register_commands", greet_too), name="b-later")
    plugins.register(plugin("agl_register_commands", greet), name="a-first")

    commands = plugins.commands(problems.append)

    assert list(commands) == ["greet"]
    assert [(problem.name, problem.why) for problem in problems] == [
        ("b-later", "its 'greet' is left out: plugin 'a-first' has a command of that name"),
        ("half", "ValueError: no"),
    ]


# --- dialects


class Toy:
    """Knows one span; on another it falls over."""

    NAME = "toy"

    def read(self, span):
        """As it is written."""
        if "toy" not in span.attributes:
            return None
        return SpanMeaning(kind="tool", name=span.name, dialect="toy", tool=span.attributes["toy"]["tool"])


def test_dialects_of_plugins_are_asked_before_those_of_the_core(plugins):
    """The core's last one knows almost every span a little."""
    plugins.register(plugin("agl_register_dialects", lambda: [Toy()]), name="toys")
    attributes = {"toy": {"tool": "top"}, "gen_ai.operation.name": "chat"}

    table = plugins.dialects()

    assert [dialect.NAME for dialect in table] == ["toy", *(dialect.NAME for dialect in DIALECTS)]
    assert meaning(span(attributes), dialects=table).tool == "top"
    assert plugins.owners("agl_register_dialects", pytest.fail)["toy"] == "toys"


def test_a_dialect_that_raises_does_not_know_the_span(plugins, caplog):
    """The next is asked; that it raised is said once."""
    plugins.register(plugin("agl_register_dialects", lambda: [Toy()]), name="toys")
    table, attributes = plugins.dialects(), {"toy": 1, "gen_ai.operation.name": "chat"}

    told = [meaning(span(attributes), dialects=table).dialect for _ in range(3)]

    assert told == ["gen_ai"] * 3
    assert caplog.text.count("dialect 'toy' of plugin 'toys' raised: TypeError") == 1


def span(attributes):
    """One with these attributes."""
    return SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id="sp-1", name="x", attributes=attributes, started_at=1, ended_at=2
    )


# --- first answer wins


@pytest.mark.parametrize(("hook", "arguments", "ask"), FIRST)
def test_what_an_opening_hook_raises_is_its_plugins_fault(plugins, hook, arguments, ask):
    """By name; nobody after it is asked."""
    plugins.register(plugin(hook, raising(ZeroDivisionError("oh"), *arguments)), name="guilty")

    with pytest.raises(PluginBroken, match=f"'guilty' is broken: {hook} raised ZeroDivisionError: oh"):
        ask(plugins)


def test_an_error_of_ours_stays_what_it_is_and_says_who_raised_it(plugins):
    """A plugin that knows what is missing has said it best."""
    missing = MissingExtra("torch", install="pip install 'agl-brain[torch]'")
    plugins.register(plugin("agl_open_engine", raising(missing, "url")), name="brain")

    with pytest.raises(MissingExtra) as raised:
        plugins.open_engine("brain:mine", "policy")

    assert raised.value.__notes__ == ["plugin 'brain' said so, asked by agl_open_engine"]


def test_what_the_core_refuses_needs_no_witness(plugins, tmp_path):
    """Its errors are as they are."""
    (tmp_path / "x.parquet").touch()

    with pytest.raises(LogReadOnly) as raised:
        plugins.open_log(str(tmp_path / "x.parquet"))

    assert not getattr(raised.value, "__notes__", [])


def test_open_logs_are_sqlite_logs(plugins, tmp_path):
    """What the core opens, as ever."""
    with plugins.open_log(str(tmp_path / "log.db")) as log:
        assert isinstance(log, SqliteLog)

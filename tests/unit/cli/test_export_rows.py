"""`agl export FORMAT`: rows of any log, in any format that a plugin brings, with all that was not written told."""

import asyncio
import json
import os

import pytest

import agl_core as agl
from agl_core.errors import ExportError
from agl_core.store import Store

GUEST = '''
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from agl_core.adapter import Adapted, Adapter, Dropped
from agl_core.export import Skipped
from agl_core.export.rows import write_records
from agl_core.hookspecs import hookimpl


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    rollout_id: str
    said: str


@dataclass(frozen=True, slots=True)
class Turns:
    """One row a call."""

    name: ClassVar[str] = "turns"
    least: int = 0
    """Letters that were said at least."""
    other: Adapter[Any] | None = None
    """Another adapter."""

    def __call__(self, traces):
        rows, dropped = [], []
        for trace in traces:
            for call in (call for call in trace.calls if call.role == "policy"):
                said = call.call.choices[0].message.content or ""
                if len(said) < self.least:
                    dropped.append(Dropped(call_id=call.call_id, rollout_id=trace.rollout_id, reason="too_short"))
                else:
                    rows.append(Turn(rollout_id=trace.rollout_id, said=said))
        return Adapted(rows=rows, dropped=dropped, kept=len(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy:
    """Lines of what was said."""

    name: ClassVar[str] = "toy"
    help: ClassVar[str] = "What was said, and no more."
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)
    adapter: ClassVar[str] = "turns"
    options: ClassVar[Mapping[str, Any]] = {}

    loud: bool = False
    """Say it in capitals."""
    skip_empty: bool = True
    """Hold no silence."""

    def write(self, rows, path):
        def record(row):
            if self.skip_empty and not row.said:
                return Skipped(reason="silence")
            return {"said": row.said.upper() if self.loud else row.said}

        return write_records(map(record, rows), path)


class Bare:
    """No dataclass: it has no options."""

    name = "bare"

    def __call__(self, traces):
        return Turns()(traces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain(Toy):
    """Of an adapter without options."""

    name: ClassVar[str] = "plain"
    adapter: ClassVar[str] = "bare"


@hookimpl
def agl_register_exporters():
    return {"toy": Toy, "plain": Plain}


@hookimpl
def agl_register_adapters():
    return {"turns": Turns, "bare": Bare}
'''


@pytest.fixture
def run(tmp_path, story, type_in):
    """Type `agl` where a plugin with an exporter and an adapter is installed, and the log is the story's."""
    (tmp_path / "agl_toy.py").write_text(GUEST)
    info = tmp_path / "agl_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: agl-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[agl]\ntoys = agl_toy\n")

    def started(*arguments, **variables):
        path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
        told = {"PYTHONPATH": path, "AGL_LOG": str(story.path), "COLUMNS": "200", **variables}
        return type_in(arguments, cwd=tmp_path, env={**os.environ, **told})

    return started


def test_a_plugins_format_is_listed_with_its_options_and_its_adapters(run):
    """Each under a heading of its own, with what the docstrings say."""
    listed, helped = run("export", "--help").stdout, run("export", "toy", "--help").stdout

    assert "What was said, and no more." in listed
    assert "otlp" in listed
    assert "Options of toy:\n  --loud / --no-loud" in helped
    assert "Options of the adapter turns:\n  --least INTEGER" in helped
    assert "Letters that were said at least.  [default: 0]" in helped


def test_what_was_not_written_is_told_and_makes_3_of_the_exit_code(run, tmp_path):
    """Rows that the format cannot hold, on stderr: stdout is data."""
    done = run("export", "toy", "--out", "rows.jsonl", "--loud")

    assert done.returncode == 3, done.stderr
    assert (tmp_path / "rows.jsonl").read_text() == '{"said":"THE ANSWER IS 42."}\n'
    assert done.stdout == "1 rows of 3 rollouts written to rows.jsonl\n"
    assert done.stderr == "1 row(s) skipped, this format cannot hold them: silence\n"


def test_what_the_adapter_dropped_is_told_and_is_no_failure(run):
    """It was asked for."""
    done = run("export", "toy", "-o", "rows.jsonl", "--least", "1", "--json")

    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "path": "rows.jsonl", "written": 1, "skipped": {}, "rollouts": 3, "left_out": {}, "erased": 0,
        "calls": {"captured": 2, "kept": 1, "dropped": {"too_short": 1}},
    }  # fmt: skip
    assert done.stderr == "1 call(s) dropped: too_short\n"


def test_an_adapter_that_takes_every_rollout_is_handed_the_good_ones(run):
    """Whatever the format is; and what is left out is told."""
    good = run("export", "toy", "-o", "good.jsonl", "--at-least", "0.8", "--no-skip-empty", "--json")
    none = run("export", "toy", "-o", "none.jsonl", "--at-least", "0.9")

    assert json.loads(good.stdout)["written"] == 2
    assert none.returncode == 1
    assert "2 call(s) dropped: below_threshold, it earned less" in none.stderr
    assert "Which rollouts:" in run("export", "toy", "--help").stdout


def test_nothing_is_written_over_unless_one_says_so(run, tmp_path):
    """And then it is replaced."""
    (tmp_path / "rows.jsonl").write_text("mine")

    refused = run("export", "toy", "-o", "rows.jsonl")
    forced = run("export", "toy", "-o", "rows.jsonl", "--force", "--no-skip-empty")

    assert refused.returncode == 1
    assert "EXPORT_EXISTS" in refused.stderr
    assert "--force" in refused.stderr
    assert forced.returncode == 0, forced.stderr
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 2


def test_of_nothing_no_file_is_made_and_why_is_said(run, tmp_path):
    """All reasons, those of the adapter and those of the format."""
    done = run("export", "toy", "-o", "rows.jsonl", "--least", "100")
    nobody = run("export", "toy", "-o", "rows.jsonl", "--split", "val")

    assert done.returncode == nobody.returncode == 1
    assert "EXPORT_EMPTY" in done.stderr
    assert "2 call(s) dropped: too_short" in done.stderr
    assert "3 of train were left out: --split takes them" in nobody.stderr
    assert not (tmp_path / "rows.jsonl").exists()
    assert not list(tmp_path.glob(".agl-export*"))


def test_rollouts_may_be_named(run, story, tmp_path):
    """By an id, or its beginning."""
    done = run("export", "toy", story.good[:-1], story.waiting, "-o", "rows.jsonl", "--json")

    assert json.loads(done.stdout)["rollouts"] == 2
    assert run("export", "toy", "ro-nobody", "-o", "other.jsonl").returncode == 1
    assert not (tmp_path / "other.jsonl").exists()


def test_an_adapter_need_not_have_options(run, story):
    """Such as one that `agl plugins new` began."""
    done = run("export", "plain", story.good, "-o", "rows.jsonl", "--json")

    assert json.loads(done.stdout)["rollouts"] == 1


def test_a_rollout_may_be_named_as_its_program_named_it(run, story):
    """An id of its own begins as it likes, and is found where that of a run might stand."""
    with agl.open_log(str(story.path)) as log:
        store = Store(log)
        asyncio.run(store.enqueue_rollout({"q": "1+1"}, rollout_id="my-task"))
        store.close()

    done = run("export", "toy", "my-task", story.good, "-o", "rows.jsonl", "--json")

    assert json.loads(done.stdout)["rollouts"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--out", "rows.txt"], 1, "EXPORT_REFUSED"),
        (["--out", "rows.jsonl", "--least", "many"], 2, "--least"),
        (["--out", "rows.jsonl", "--lest", "1"], 2, "No such option"),
        (["--out", "rows.jsonl", "--other", "{"], 1, "it is no JSON"),
        ([], 2, "--out"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_read(run, tmp_path, arguments, code, said):
    """With a code, and with no traceback."""
    done = run("export", "toy", *arguments)

    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("rows*"))


def test_an_adapter_that_is_not_there_says_which_plugin_brings_it(run):
    """A format of the core's may want rows of a plugin's."""
    done = run("export", "openai-dpo", "-o", "rows.jsonl", AGL_LOAD_PLUGINS="toys")

    assert done.returncode == 1
    assert "UNKNOWN_NAME" in done.stderr
    assert "agl-messages" in done.stderr


def test_why_tells_who_brings_a_format(run):
    """As of every other thing that has a name."""
    told = json.loads(run("plugins", "why", "exporter:toy", "--json").stdout)

    assert (told["exporter"], told["plugin"], told["hook"]) == ("toy", "toys", "agl_register_exporters")


def test_traces_go_out_without_a_plugin_being_loaded(run):
    """What is there without plugins works without them."""
    done = run("export", "otlp", "--help", AGL_REQUIRED_PLUGINS="nowhere")

    assert done.returncode == 0, done.stderr


def test_every_error_of_an_export_has_a_code():
    """Programs read codes."""
    assert {error.code for error in ExportError.__subclasses__()} >= {"EXPORT_EMPTY", "EXPORT_EXISTS", "EXPORT_REFUSED"}


# --- the core's own, with the adapters of ours


def test_the_options_are_those_of_the_adapter_that_the_shape_wants(run):
    """With the defaults that the format has for it."""
    pytest.importorskip("agl_messages")
    words, pairs = run("export", "trl", "--help").stdout, run("export", "trl", "--shape=preference", "--help").stdout

    assert "--margin" not in words
    assert "--margin" in pairs
    assert "`call` compares single answers. [default: call]" in " ".join(pairs.split())


def test_a_credit_rule_is_named_or_told_in_json(run, tmp_path):
    """An option that is an adapter itself."""
    pytest.importorskip("agl_messages")
    pytest.importorskip("agl_rewards")

    named = run("export", "jsonl", "-o", "a.jsonl", "--credit", "rewards")
    told = run(
        "export", "jsonl", "-o", "b.jsonl", "--credit", '{"name": "rewards", "rule": "discounted", "gamma": 0.5}'
    )

    assert (named.returncode, told.returncode) == (0, 0), (named.stderr, told.stderr)
    rewards = [json.loads((tmp_path / name).read_text())["reward"] for name in ("a.jsonl", "b.jsonl")]
    assert rewards[0] == 0.875
    assert rewards[1] < 0.875


def test_a_transcript_of_the_story(run, tmp_path):
    """The rollout that raised has made no call; the one that used a tool is a conversation."""
    pytest.importorskip("agl_messages")

    done = run("export", "openai-sft", "--out", "sft.jsonl")

    assert done.returncode == 0, done.stderr
    (line,) = [json.loads(line) for line in (tmp_path / "sft.jsonl").read_text().splitlines()]
    assert [one["role"] for one in line["messages"]] == ["user", "assistant", "tool", "assistant"]

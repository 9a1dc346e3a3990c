"""`agl resources`: versions of prompts with what made them and what they earned, the best of them, and the way back."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as command
from agl_core.errors import NothingPromoted
from agl_core.events import ResourcesPromoted
from agl_core.resources import dump, load
from agl_core.testing import ScriptedModel

CRITIQUE = "It never says please.\nSay please."
BASE, POLITE, CURT = "Say {n}.", 'Please say {n}, as {"n": 1}.\n', "Say {n}!"


@dataclass
class Searched:
    """What a search for a better prompt left: `id@1` the base, `@2` the one it promoted, `@3` one that was worse."""

    log: Path
    run: str
    bundle: str

    def ask(self, *words: Any) -> Any:
        """Type `agl resources ...` over the log."""
        return CliRunner().invoke(command, ["resources", *map(str, words), "--log", str(self.log)])

    def told(self, *words: Any) -> Any:
        """What it says to programs."""
        done = self.ask(*words, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    def at(self, version: int) -> str:
        """A version's name."""
        return f"{self.bundle}@{version}"

    @property
    def promotions(self) -> list[tuple[int, str | None]]:
        """Version and run, in order."""
        with agl.open_log(str(self.log), readonly=True) as log:
            return [(one.event.version, one.event.run_id) for one in log.read(types=[ResourcesPromoted.type])]


@agl.rollout
def answer(task: dict[str, Any], prompt: agl.PromptTemplate) -> float:
    """Earns by its prompt, and a little by its task; one task cannot be worked on."""
    if task["n"] == 13:
        raise RuntimeError("no such number")
    return {BASE: 0.5, POLITE: 0.75, CURT: 0.25}[prompt.template] + task["n"] / 100


async def search(run: agl.Run) -> None:
    """Three prompts, one of them better."""
    base = run.resources
    assert base is not None
    await run.rollouts(run.val, resources=base, mode="val", repeat=2, label="base")
    polite = await run.publish({"prompt": agl.PromptTemplate(POLITE)}, parent=base, why=CRITIQUE)
    await run.rollouts(run.val, resources=polite, mode="val", repeat=2, label="polite")
    refused = {"parent": f"{base.resources_id}@1", "prompt": "prompt", "reason": "placeholders",
               "detail": "it lacks n", "why": "It is dull.", "text": "Say something."}  # fmt: skip
    await run.step("candidate.rejected", dict, refused)
    await run.publish({"prompt": agl.PromptTemplate(CURT)}, parent=polite, why="It is long.")
    await run.examine(before=base, after=polite)
    await run.promote(polite, why="it won")


@pytest.fixture(scope="module")
def left(tmp_path_factory) -> Searched:
    """The log of a search, for tests that only look."""
    with pytest.MonkeyPatch.context() as patched, ScriptedModel("8") as model:
        patched.setenv("AGL_LOAD_PLUGINS", "")
        log = tmp_path_factory.mktemp("searched") / "log.db"
        trainer = agl.Trainer(
            algorithm=agl.algo(search),
            store=str(log),
            preflight=False,
            initial_resources={
                "prompt": agl.PromptTemplate(BASE),
                "grader": agl.LLM(endpoint=model.url, model="policy", api_key="sk-secret"),
            },
            rollout_config=agl.RolloutConfig(max_attempts=1),
        )
        summary = trainer.fit(
            answer, [{"n": 0}], val_dataset=[{"n": n} for n in (1, 3, 13)], test_dataset=[{"n": n} for n in (5, 7)]
        )
        (bundle,) = {one["resources_id"] for one in Searched(log, "", "").told("list")}
    return Searched(log, summary.run_id, bundle)


@pytest.fixture
def searched(left, tmp_path) -> Searched:
    """The same, to write to."""
    shutil.copytree(left.log.parent, tmp_path / "log")
    return Searched(tmp_path / "log" / "log.db", left.run, left.bundle)


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch, tmp_path):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    monkeypatch.chdir(tmp_path)


# --- what there is


def test_versions_are_listed_with_what_they_earned(left):
    """The newest first; the split that tells most is the one that is shown: test before val."""
    third, second, first = left.told("list", "--run", left.run[:12])

    assert [one["version"] for one in (first, second, third)] == [1, 2, 3]
    assert [one["promoted"] for one in (first, second, third)] == [None, "now", None]
    assert (second["parent"], second["why"]) == (left.at(1), CRITIQUE)
    assert (second["earned"]["mode"], second["earned"]["mean"]) == ("test", 0.81)
    assert third["earned"] is None
    shown = left.ask("list").stdout
    assert left.at(3) in shown
    assert "It never says please. Say please." in shown


def test_a_list_that_is_cut_says_so(left):
    """On stderr: stdout is data."""
    shown = left.ask("list", "--limit", 1)

    assert len(shown.stdout.splitlines()) == 2
    assert shown.stderr == "1 of 3: --limit 0 shows all\n"


def test_a_version_is_shown_whole(left):
    """Its prompt to the last letter, what it wants, what it earned, with what does not count left out and counted."""
    found = left.told("show", left.at(2))

    assert found["resources"]["prompt"] == dump(agl.PromptTemplate(POLITE))
    assert found["placeholders"] == {"prompt": ["n"]}
    val = next(one for one in found["earned"] if one["mode"] == "val")
    assert (val["rollouts"], val["tasks"], val["mean"], val["masked"]) == (6, 2, 0.77, 2)
    assert val["ci95"] == pytest.approx([0.7504, 0.7896], abs=1e-4)
    assert {(one["mode"], round(one["reward"], 4)) for one in found["rollouts"] if not one["masked"]} == {
        ("val", 0.76), ("val", 0.78), ("test", 0.8), ("test", 0.82),
    }  # fmt: skip
    assert found["examination"]["difference"]["mean"] == 0.25
    assert found["promotion"]["why"] == "it won"


def test_a_version_is_shown_with_the_critiques_that_made_it(left):
    """From it to the base; what was rejected on the way is counted, and shown when it is asked for."""
    shown = left.ask("show", left.at(3)).stdout
    whole = left.ask("show", left.at(3), "--lineage").stdout

    places = [shown.index(part) for part in ("lineage", "It is long.", "It never says please.\n    Say please.")]
    assert places == sorted(places)
    assert [one["name"] for one in left.told("show", left.at(3))["lineage"]] == [left.at(3), left.at(2), left.at(1)]
    assert "rejected on the way: 1; --lineage shows them" in shown
    assert "Say something." not in shown
    assert "placeholders, it lacks n" in whole
    assert "Say something." in whole


def test_what_was_tried_and_left_is_found(left):
    """A version that came from one of the lineage, with what it earned: nobody ran it here."""
    found = left.told("show", left.at(2))["tried"]

    assert found == [{"name": left.at(3), "parent": left.at(2), "why": "It is long.", "earned": None}]
    assert "tried beside: 1; --lineage shows them" in left.ask("show", left.at(2)).stdout
    assert f"{left.at(3)}  from {left.at(2)}" in left.ask("show", left.at(2), "--lineage").stdout
    assert left.told("show", left.at(3))["tried"] == []


@pytest.mark.parametrize("spelt", ["{bundle}", "{run}", "{run:.14}", "{bundle:.14}@2", "{bundle}@2"])
def test_a_version_is_found_by_whatever_names_it(left, spelt):
    """A bundle or a run alone is what was promoted of it; the start of an id will do."""
    found = left.told("show", spelt.format(bundle=left.bundle, run=left.run))

    assert (found["resources_id"], found["version"]) == (left.bundle, 2)


@pytest.mark.parametrize(
    "spelt", ["rs-nothing", "{bundle}@9", "{bundle}@{nines}", "nobody", "run-nobody", "{bundle}@x"]
)
def test_what_names_nothing_is_refused(left, spelt):
    """By its code, whatever it looks like."""
    shown = left.ask("show", spelt.format(bundle=left.bundle, nines="9" * 40))

    assert shown.exit_code == 1
    assert "UNKNOWN_ID" in shown.stderr


def test_the_best_is_what_was_promoted_last(left):
    """Of the log, and of a run."""
    assert left.told("best")["version"] == left.told("best", left.run)["version"] == 2
    assert "Please say {n}" in left.ask("best").stdout


def test_where_nothing_was_promoted_no_version_is_taken_for_the_best(ask, story):
    """An error with its cure: a newest version is no best one."""
    shown = ask("resources", "best", "--log", story.path)

    assert shown.exit_code == 1
    assert "NOTHING_PROMOTED" in shown.stderr
    assert "agl resources list" in shown.stderr


def test_an_export_of_the_log_answers_as_the_log_does(left, tmp_path):
    """What came with it is all there is to ask."""
    CliRunner().invoke(command, ["log", "export", str(tmp_path / "run.jsonl"), "--log", str(left.log)])

    assert Searched(tmp_path / "run.jsonl", left.run, left.bundle).told("best") == left.told("best")


def test_a_program_takes_the_best_from_the_log(searched):
    """And what somebody goes back to, the next time it asks."""
    first = agl.best_resources(str(searched.log))
    searched.told("rollback", searched.run)
    second = agl.best_resources(str(searched.log), run_id=searched.run)

    assert [one.resources["prompt"] for one in (first, second)] == [
        agl.PromptTemplate(POLITE),
        agl.PromptTemplate(BASE),
    ]
    with pytest.raises(NothingPromoted, match="run-nobody"):
        agl.best_resources(str(searched.log), run_id="run-nobody")


# --- what changed


def test_two_versions_are_compared_line_by_line(left):
    """As `diff -u` writes it; a line break at the end is a difference, too."""
    shown = left.ask("diff", left.at(1), left.at(2)).stdout

    assert shown.splitlines()[:6] == [
        f"--- {left.at(1)} prompt", f"+++ {left.at(2)} prompt", "@@ -1 +1,2 @@", "-Say {n}.",
        '+Please say {n}, as {"n": 1}.', "+",
    ]  # fmt: skip


def test_one_version_alone_is_compared_with_what_all_began_with(left):
    """Of a run: its first against its best."""
    assert left.told("diff", left.run) == left.told("diff", left.at(1), left.at(2))
    assert left.told("diff", left.at(3))["before"] == left.at(1)


def test_two_versions_are_compared_by_what_both_earned(left):
    """Task by task, where both were scored; of one that nobody ran, nothing is said."""
    test, val = left.told("diff", left.at(1), left.at(2))["earned"]
    back = left.told("diff", left.at(2), left.at(1))["earned"]

    assert (test["mode"], test["difference"], test["better"], test["worse"]) == (
        "test", {"mean": 0.25, "n": 2, "ci95": [0.25, 0.25]}, 2, 0,
    )  # fmt: skip
    assert (val["mode"], val["difference"]["n"]) == ("val", 2)
    assert [len(one["regressed"]) for one in back] == [2, 2]
    assert "test       2        0.25  [0.25, 0.25]       2      0" in left.ask("diff", left.run).stdout
    assert left.told("diff", left.at(3))["earned"] == []


def test_a_difference_has_colours_on_a_terminal_alone(left):
    """In a pipe it is what `patch` reads."""
    coloured = CliRunner().invoke(command, ["resources", "diff", left.run, "--log", str(left.log)], color=True).stdout

    assert "\x1b[31m-Say {n}.\x1b[0m" in coloured
    assert "\x1b" not in left.ask("diff", left.run).stdout


def test_versions_that_are_alike_say_so(left):
    """On stderr: there is no difference to print."""
    shown = left.ask("diff", left.at(1), left.at(1))

    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "are the same" in shown.stderr


def test_settings_of_a_model_are_compared_field_by_field(tmp_path, ask):
    """And so is a resource that only one side has."""
    path = tmp_path / "log.db"
    store = agl.open_store(str(path))
    model = agl.LLM(endpoint="http://h/v1", model="small", sampling_parameters={"temperature": 0})
    first = asyncio.run(store.add_resources({"critic": model}))
    larger = agl.LLM(endpoint="http://h/v1", model="large")
    asyncio.run(
        store.update_resources(first.resources_id, {"critic": larger, "prompt": agl.PromptTemplate("x", "jinja")})
    )
    store.close()
    store.log.close()

    shown = ask("resources", "diff", f"{first.resources_id}@1", f"{first.resources_id}@2", "--log", path).stdout

    assert shown.splitlines() == [
        f"--- {first.resources_id}@1 critic", f"+++ {first.resources_id}@2 critic", "-model: small", "+model: large",
        '-sampling_parameters: {"temperature": 0}', "+sampling_parameters: {}",
        "--- nothing", f"+++ {first.resources_id}@2 prompt", "+resource_type: prompt_template", "+engine: jinja",
        "@@ -0,0 +1 @@", "+x",
    ]  # fmt: skip


# --- the best, forward and back


def test_going_back_declares_the_version_of_before_anew(searched):
    """To the base, when nothing was promoted before; nothing is deleted, and what came back is not declared twice."""
    back = searched.told("rollback", searched.run, "--why", "too polite")
    again = searched.told("rollback", searched.run, "--to", 1)

    assert (back["best"], back["before"], back["is_new"]) == (searched.at(1), searched.at(2), True)
    assert (again["best"], again["is_new"]) == (searched.at(1), False)
    assert searched.promotions == [(2, searched.run), (1, searched.run)]
    best = searched.told("best", searched.run)
    assert best["version"] == 1
    assert best["promotion"]["why"] == "too polite"
    assert best["promotion"]["by"]


def test_a_version_is_declared_best_by_hand(searched):
    """And gone back on: to the one before it."""
    searched.told("promote", searched.at(3), "--why", "the customer likes it")
    third = searched.told("best")
    back = searched.told("rollback", searched.bundle)

    assert third["version"] == 3
    assert back["best"] == searched.told("best")["lineage"][0]["name"] == searched.at(2)
    assert [one["promoted"] for one in searched.told("list")] == ["before", "now", None]


def test_going_back_to_a_version_by_its_name(searched):
    """Whatever came before it."""
    assert searched.told("rollback", searched.at(3))["best"] == searched.at(3)
    assert searched.told("rollback", searched.run, "--to", searched.at(1))["best"] == searched.at(1)


def test_there_is_an_end_to_going_back(searched):
    """An error, and no fact."""
    searched.told("rollback", searched.run)

    done = searched.ask("rollback", searched.run)

    assert done.exit_code == 1
    assert "nothing was promoted before it" in done.stderr
    assert len(searched.promotions) == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("rollback", "{run}", "--to", "9"), "UNKNOWN_ID"),
        (("rollback", "{run}", "--to", "first"), "UNKNOWN_ID"),
        (("rollback", "{bundle}@1", "--to", "2"), "BAD_VALUE"),
        (("promote", "{bundle}@9"), "UNKNOWN_ID"),
        (("promote", "run-nobody"), "UNKNOWN_ID"),
    ],
)
def test_what_cannot_be_the_best_is_refused(searched, words, code):
    """By its code, and no fact is written."""
    done = searched.ask(*(word.format(run=searched.run, bundle=searched.bundle) for word in words))

    assert done.exit_code == 1
    assert code in done.stderr
    assert searched.promotions == [(2, searched.run)]


def test_a_query_finds_what_was_promoted(searched):
    """By whom, too; and a version's lineage by its parents."""
    searched.told("rollback", searched.run)
    sql = """
    with recursive line as (
      select r.* from resources r join promotions p using (resources_id, version) where who like '%:search'
      union all
      select r.* from resources r join line on r.resources_id || '@' || r.version = line.parent
    )
    select version, (select count(*) from promotions where who not like '%:search') as by_hand
    from line order by version
    """

    found = CliRunner().invoke(command, ["log", "query", sql, "--json", "--log", str(searched.log)])

    assert json.loads(found.stdout) == [{"version": 1, "by_hand": 1}, {"version": 2, "by_hand": 1}]


# --- out of the log


def test_a_prompt_is_exported_as_it_stands(left, tmp_path):
    """To the last byte; the only prompt needs no name."""
    found = left.told("export", left.run, "--to", tmp_path / "new" / "best.txt")

    assert Path(found["path"]).read_bytes() == POLITE.encode()
    assert (found["name"], found["version"]) == ("prompt", 2)


def test_a_version_is_exported_with_lineage_and_evidence(left, tmp_path):
    """A program makes its prompt of it again; keys were never in it."""
    left.told("export", left.at(2), "--to", tmp_path / "best.json")

    text = (tmp_path / "best.json").read_text()
    found = json.loads(text)
    assert load(found["resources"]["prompt"]) == agl.PromptTemplate(POLITE)
    assert [one["resources"]["prompt"]["template"] for one in found["lineage"]] == [POLITE, BASE]
    assert found["lineage"][0]["why"] == CRITIQUE
    assert found["examination"]["difference"]["n"] == 2
    assert "sk-secret" not in text


def test_what_is_there_is_replaced_only_when_told(left, tmp_path):
    """Else it stays as it is."""
    (tmp_path / "best.txt").write_text("mine")

    refused = left.ask("export", left.run, "--to", tmp_path / "best.txt")
    kept = (tmp_path / "best.txt").read_text()
    forced = left.ask("export", left.run, "--to", tmp_path / "best.txt", "--force")

    assert (refused.exit_code, kept) == (1, "mine")
    assert "EXPORT_EXISTS" in refused.stderr
    assert forced.exit_code == 0
    assert (tmp_path / "best.txt").read_text() == POLITE


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--to", "best.exe"), "EXPORT_REFUSED"),
        (("--to", "folder"), "EXPORT_REFUSED"),
        (("--to", "log.db/best.txt"), "EXPORT_REFUSED"),
        (("--to", "best.txt", "--name", "promt"), "UNKNOWN_NAME"),
        (("--to", "best.txt", "--name", "grader"), "UNKNOWN_NAME"),
        (("--to", "best.json", "--name", "promt"), "UNKNOWN_NAME"),
        (("--to", "folder", "--policy", "policy"), "UNKNOWN_NAME"),
        (("--to", "folder", "--policy", "policy", "--name", "prompt"), "BAD_VALUE"),
    ],
)
def test_what_cannot_be_exported_is_refused(left, tmp_path, words, code):
    """By its code, and nothing is left of it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "log.db").touch()

    done = left.ask("export", left.run, *words)

    assert done.exit_code == 1, done.stdout
    assert code in done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "log.db"]


def test_several_prompts_want_a_name(tmp_path, ask):
    """Those there are are named; a template of Jinja under another suffix is told of."""
    path = tmp_path / "log.db"
    store = agl.open_store(str(path))
    prompts = {"system": agl.PromptTemplate("Be {{ mood }}.", "jinja"), "user": agl.PromptTemplate("Say {n}.")}
    bundle = asyncio.run(store.add_resources(prompts))
    store.close()
    store.log.close()

    nameless = ask("resources", "export", bundle.resources_id, "--to", "a.txt", "--log", path)
    named = ask("resources", "export", bundle.resources_id, "--name", "system", "--to", "a.md", "--log", path)

    assert nameless.exit_code == 1
    assert "system, user" in nameless.stderr
    assert Path("a.md").read_text() == "Be {{ mood }}."
    assert "engine='jinja'" in named.stderr

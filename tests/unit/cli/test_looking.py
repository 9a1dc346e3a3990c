"""The commands that show what is in a log."""

import json

from agl_core.cli._words import curve, duration, number


def test_runs_are_listed_with_how_they_went(ask, story):
    """Status, reward and the whole id stand on one line."""
    shown = ask("runs", "list", "--log", story.path)

    assert shown.exit_code == 0
    assert story.run in shown.stdout
    assert "finished" in shown.stdout
    assert "0.875" in shown.stdout


def test_a_list_of_runs_is_json_for_programs(ask, story):
    """One array with an object a run; times are ISO 8601, UTC."""
    (run,) = json.loads(ask("runs", "list", "--log", story.path, "--json").stdout)

    assert run | {"started_at": ..., "ended_at": ...} == {
        "run_id": story.run,
        "status": "finished",
        "algorithm": "grpo",
        "agent": "agents:solve",
        "seed": 7,
        "reward": 0.875,
        "rollouts": 3,
        "resumed": 0,
        "why": None,
        "started_at": ...,
        "ended_at": ...,
        "seconds": 0.0,
    }
    assert run["started_at"] == "2023-11-14T22:13:20.000000Z"


def test_a_run_is_shown_with_all_that_came_of_it(ask, story):
    """Numbers and their curve, what was kept and what was dropped, weights, counts."""
    shown = ask("runs", "show", story.run, "--log", story.path).stdout

    for part in (
        "reward/mean  0.25 ▁▄█ 0.875",
        "no_reward 1",
        "agent_raised 1",
        "b2:77",
        "1.4 MB",
        "20 tokens in, 6 out",
    ):
        assert part in shown


def test_without_an_id_the_newest_run_is_shown(ask, story):
    """It is nearly always the one that is meant."""
    run = json.loads(ask("runs", "show", "--log", story.path, "--json").stdout)

    assert run["run_id"] == story.run
    assert run["config"] == {"steps": 3}
    assert run["metrics"]["reward/mean"] == [[0, 0.25], [1, 0.5], [2, 0.875]]
    assert run["rollouts"] == {"queuing": 1, "failed": 1, "succeeded": 1}
    assert run["batches"][0]["captured"] == run["batches"][0]["kept"] + sum(run["batches"][0]["dropped"].values())


def test_a_run_whose_process_is_gone_is_interrupted(ask, killed):
    """A killed process says no farewell: nobody holds the run, so it does not run."""
    (run,) = json.loads(ask("runs", "list", "--log", killed.path, "--json").stdout)

    assert run["status"] == "interrupted"
    assert run["ended_at"] is not None


def test_rollouts_are_listed_by_what_is_asked(ask, story):
    """Run, by the start of its id, and status."""
    everything = json.loads(ask("rollouts", "list", "--run", story.run[:12], "--log", story.path, "--json").stdout)
    failed = json.loads(ask("rollouts", "list", "--status", "failed", "--log", story.path, "--json").stdout)

    assert [rollout["rollout_id"] for rollout in everything] == story.rollouts[::-1]
    assert [rollout["rollout_id"] for rollout in failed] == [story.bad]
    assert failed[0]["exit_status"] == "agent_raised"


def test_a_short_list_says_that_there_is_more(ask, story):
    """On stderr: stdout is data."""
    shown = ask("rollouts", "list", "--limit", "1", "--log", story.path)

    assert len(shown.stdout.splitlines()) == 2
    assert shown.stderr == "1 of 3: --limit 0 shows all\n"


def test_a_transcript_has_what_was_said_and_what_tools_said(ask, story):
    """Question, the model's wish, the tool's answer, the model's answer, the reward."""
    shown = ask("rollouts", "show", story.good, "--log", story.path).stdout

    parts = ["What is 6*7?", '-> calculator({"expression": "6*7"})', "42", "The answer is 42.", "0.875"]
    places = [shown.index(part, shown.index("conversation 1")) for part in parts]
    assert places == sorted(places)


def test_a_transcript_for_programs_has_each_message_once(ask, story):
    """Two calls of one conversation share their history; each answer carries its call."""
    told = json.loads(ask("rollouts", "show", story.good, "--log", story.path, "--json").stdout)

    (conversation,) = told["conversations"]
    assert [message["role"] for message in conversation["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert [message.get("call", {}).get("completion_tokens") for message in conversation["messages"]] == [
        None,
        3,
        None,
        3,
    ]
    assert told["reward"] == 0.875


def test_a_failed_rollout_says_what_was_raised(ask, story):
    """With its place, and no traceback."""
    shown = ask("rollouts", "show", story.bad, "--log", story.path).stdout

    assert "ZeroDivisionError: division by zero (agents.py:12)" in shown
    assert "Traceback" not in shown


def test_the_start_of_an_id_is_enough(ask, story):
    """With its `ro-` or without."""
    length = next(n for n in range(29) if sum(other.startswith(story.good[:n]) for other in story.rollouts) == 1)

    for given in (story.good[:length], story.good[3:length]):
        told = json.loads(ask("rollouts", "show", given, "--log", story.path, "--json").stdout)
        assert told["rollout_id"] == story.good


def test_the_log_answers_sql(ask, story):
    """Through DuckDB, as text and as JSON."""
    sql = "select type, count(*) as n from events where type like 'rollout.%' group by 1 order by 1"

    text = ask("log", "query", sql, "--log", story.path).stdout
    rows = json.loads(ask("log", "query", sql, "--log", story.path, "--json").stdout)

    assert text == "type              n\nrollout.enqueued  3\nrollout.finished  2\n"
    assert rows == [{"type": "rollout.enqueued", "n": 3}, {"type": "rollout.finished", "n": 2}]


def test_a_sound_log_is_said_to_be_sound(ask, story):
    """And folding its tables again changes nothing."""
    before = ask("runs", "show", "--log", story.path, "--json").stdout

    verified = json.loads(ask("log", "verify", "--log", story.path, "--json").stdout)
    rebuilt = json.loads(ask("log", "rebuild", "--log", story.path, "--json").stdout)

    assert verified["ok"]
    assert rebuilt["events"] == verified["events"] == int(ask("log", "head", "--log", story.path).stdout)
    assert ask("runs", "show", "--log", story.path, "--json").stdout == before


def test_the_log_tells_where_it_lies(ask, story, monkeypatch):
    """AGL_LOG names it when --log does not."""
    monkeypatch.setenv("AGL_LOG", str(story.path))

    told = json.loads(ask("log", "info", "--json").stdout)

    assert told["log"] == str(story.path)
    assert (told["runs"], told["rollouts"], told["head"]) == (1, 3, told["events"])


def test_plugins_are_listed_with_what_they_implement(ask):
    """The core is one of them."""
    found = {plugin["name"]: plugin for plugin in json.loads(ask("plugins", "--json").stdout)}

    assert "agl_open_log" in found["builtin"]["hooks"]
    assert found["builtin"]["status"] == "active"
    assert set(found["builtin"]) == {
        "name", "version", "distribution", "status", "hooks", "load_ms", "error", "disabled_by"
    }  # fmt: skip
    assert "builtin" in ask("plugins").stdout


def test_numbers_read_well():
    """Short, and no more exact than they are."""
    assert [duration(seconds) for seconds in (0.42, 12.4, 185, 7_800)] == ["0.4 s", "12 s", "3 m 05 s", "2 h 10 m"]
    assert [number(value) for value in (3.0, 0.123456, None)] == ["3", "0.1235", "-"]


def test_a_long_curve_keeps_its_ends():
    """Neighbours are averaged to fit."""
    drawn = curve([0.0] * 100 + [1.0] * 100, width=10)

    assert drawn == "▁▁▁▁▁█████"


def test_a_rollout_is_a_tree(story, ask):
    """For people in a hundred columns; for programs the same in the document."""
    drawn = ask("rollouts", "show", story.good, "--tree", "--log", story.path)
    told = json.loads(ask("rollouts", "show", story.good, "--tree", "--json", "--log", story.path).output)

    assert '├─ call policy  0.2 s  10+3 tokens  -> calculator({"expression": "6*7"})' in drawn.output
    assert "└─ reward primary  = 0.875 by agent" in drawn.output
    assert [(one["kind"], one.get("value")) for one in told["tree"]] == [
        ("call", None),
        ("call", None),
        ("reward", 0.875),
    ]

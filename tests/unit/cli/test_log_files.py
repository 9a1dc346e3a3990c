"""`agl log export`, `import` and `query`; and every command that looks, looking at an export."""

import csv
import io
import json

import pytest

FORMATS = ["parquet", "duckdb", "jsonl", "db"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_log_goes_out_and_comes_back(ask, story, tmp_path, format):
    """Both say the same head and the same seal, which `agl log info` shows too."""
    out = ask("log", "export", tmp_path / f"run.{format}", "--log", story.path, "--json")
    back = ask("log", "import", tmp_path / f"run.{format}", tmp_path / "back.db", "--json")
    info = ask("log", "info", "--log", story.path, "--json")

    written, read, told = (json.loads(shown.stdout) for shown in (out, back, info))
    assert written["path"] == str(tmp_path / f"run.{format}")
    assert written["format"] == format
    assert written["head"] == read["head"] == told["head"]
    assert written["seal"] == read["seal"] == told["seal"] != ""
    assert ask("log", "verify", "--deep", "--log", tmp_path / "back.db").exit_code == 0


def test_people_are_told_head_and_seal(ask, story, tmp_path):
    """In one line."""
    shown = ask("log", "export", tmp_path / "run.parquet", "--log", story.path)
    info = ask("log", "info", "--log", tmp_path / "run.parquet").stdout

    seal = shown.stdout.split()[-1]
    assert shown.stdout.startswith(f"{tmp_path / 'run.parquet'}: parquet, head ")
    assert shown.stderr == ""
    assert seal in info
    assert str(tmp_path / "run.parquet") in info


@pytest.mark.parametrize("format", ["parquet", "duckdb", "jsonl"])
@pytest.mark.parametrize(
    "command",
    [
        ("runs", "list"),
        ("runs", "show", "{run}"),
        ("rollouts", "list"),
        ("rollouts", "show", "{good}"),
        ("log", "head"),
        ("log", "verify", "--deep"),
        ("log", "query", "select rollout_id, status, reward from rollouts order by 1"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_whatever_looks_at_a_log_looks_at_an_export(ask, story, tmp_path, format, command):
    """And sees the same."""
    words = [word.format(run=story.run, good=story.good) for word in command]
    ask("log", "export", tmp_path / f"run.{format}", "--log", story.path)

    of_log = ask(*words, "--log", story.path, "--json")
    of_export = ask(*words, "--log", tmp_path / f"run.{format}", "--json")

    assert of_export.exit_code == of_log.exit_code == 0, of_export.stderr
    seen, expected = json.loads(of_export.stdout), json.loads(of_log.stdout)
    if isinstance(seen, dict):
        seen.pop("log", None)
        expected.pop("log", None)
    assert seen == expected


def test_nothing_is_written_over(ask, story, tmp_path):
    """With a code, and nothing on stdout."""
    (tmp_path / "run.parquet").write_text("mine")

    refused = ask("log", "export", tmp_path / "run.parquet", "--log", story.path)

    assert refused.exit_code == 1
    assert "LOG_EXISTS" in refused.stderr
    assert refused.stdout == ""
    assert (tmp_path / "run.parquet").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("log", "export", "{folder}/run.xlsx", "--log", "{log}"), "BAD_VALUE"),
        (("log", "export", "/dev/null/run.parquet", "--log", "{log}"), "LOG_UNSUPPORTED"),
        (("log", "export", "/dev/null/run.db", "--log", "{log}"), "LOG_UNSUPPORTED"),
        (("log", "import", "{export}", "/dev/null/back.db"), "LOG_UNSUPPORTED"),
        (("log", "rebuild", "--log", "{export}"), "LOG_READ_ONLY"),
        (("log", "compact", "--log", "{export}"), "LOG_READ_ONLY"),
        (("log", "copy", "{export}", "{folder}/copy.db"), "LOG_READ_ONLY"),
        (("log", "recover", "{export}", "{folder}/copy.db"), "LOG_READ_ONLY"),
        (("resume", "{run}", "--log", "{export}"), "LOG_READ_ONLY"),
        (("log", "import", "{folder}/none.parquet", "{folder}/back.db"), "LOG_NOT_FOUND"),
        (("log", "import", "{log}", "{folder}/back.parquet"), "LOG_UNSUPPORTED"),
        (("log", "import", "{folder}/other.parquet", "{folder}/back.db"), "LOG_CORRUPT"),
        (("runs", "list", "--log", "{folder}/other.parquet"), "LOG_CORRUPT"),
    ],
)
def test_what_cannot_be_is_said(ask, story, tmp_path, words, code):
    """No traceback, and the cure."""
    (tmp_path / "other.parquet").write_bytes(b"PAR1")

    export = tmp_path / "export.parquet"
    ask("log", "export", export, "--log", story.path)

    refused = ask(*(word.format(folder=tmp_path, log=story.path, export=export, run=story.run) for word in words))

    assert refused.exit_code == 1
    assert code in refused.stderr


def test_a_suffix_may_be_overruled(ask, story, tmp_path):
    """For those who have names of their own."""
    ask("log", "export", tmp_path / "run", "--format", "jsonl", "--log", story.path)

    first = (tmp_path / "run").read_text().split("\n")[0]
    assert json.loads(first)["position"] == 1


def test_an_answer_that_is_cut_says_so(ask, story):
    """What is there is a whole document; exit code 3 tells programs."""
    words = ("log", "query", "select position from events order by 1", "--limit", 2, "--log", story.path)

    shown = ask(*words, "--json")

    assert shown.exit_code == 3
    assert json.loads(shown.stdout) == [{"position": 1}, {"position": 2}]
    assert json.loads(shown.stderr)["error"]["code"] == "QUERY_CUT"
    assert "2 rows" in ask(*words).stderr


def test_a_query_that_takes_too_long_is_stopped(ask, story):
    """And says after how long."""
    sql = "select count(*) from range(1000000000) a, range(1000000) b where (a.range * b.range) % 7 = 3"

    stopped = ask("log", "query", sql, "--timeout", 0.1, "--log", story.path)

    assert stopped.exit_code == 1
    assert "QUERY_CUT" in stopped.stderr
    assert "0.1 seconds" in stopped.stderr


def test_an_answer_is_csv_for_spreadsheets(ask, story):
    """Names first, nothing as an empty cell, objects as JSON."""
    sql = "select dropped, 'a, \"b\"' as quoted, null as none, 1.5 as half, {'a': [1]} as deep from batches"

    shown = ask("log", "query", sql, "--csv", "--log", story.path)

    assert list(csv.reader(io.StringIO(shown.stdout))) == [
        ["dropped", "quoted", "none", "half", "deep"],
        ['{"no_reward":1}', 'a, "b"', "", "1.5", '{"a": [1]}'],
    ]
    assert ask("log", "query", sql, "--csv", "--json", "--log", story.path).exit_code == 2

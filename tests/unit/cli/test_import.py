"""`agl import`: what it says, in words and in JSON, and how it exits."""

import json

import pytest
from click.testing import CliRunner

from agl_core.cli import agl
from agl_core.cli._import import FORMATS

CHAT = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}


@pytest.fixture
def imports(tmp_path):
    """Runs the command on a file of lines; the log is made."""

    def run(*arguments, lines=(CHAT,), format="jsonl"):
        source = tmp_path / "chats.jsonl"
        source.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines))
        log = str(tmp_path / "deep" / "run.db")
        return CliRunner().invoke(agl, ["import", format, str(source), "--log", log, *arguments])

    return run


def test_it_says_what_is_in_and_where(imports):
    """One line on stdout, with the run to ask for."""
    done = imports()

    assert done.exit_code == 0
    assert done.stdout.startswith("1 rollouts imported into run-")
    assert "run.db" in done.stdout


def test_a_bad_line_is_an_exit_code_of_its_own(imports):
    """What was refused is said on stderr with its code; the rest is in, and the exit code is 3."""
    done = imports(lines=(CHAT, "{"))

    assert done.exit_code == 3
    assert "refused[IMPORT_LINE_BAD]: chats.jsonl:2: it is no JSON object" in done.stderr
    assert done.stdout.startswith("1 rollouts imported")


@pytest.mark.parametrize("lines", [("{", "{}"), ()], ids=["refused", "empty"])
def test_a_source_of_which_nothing_is_in_has_failed(imports, lines):
    """There is no run to name then: that it failed is said on stderr, and the exit code is 1."""
    done, told = imports(lines=lines), json.loads(imports("--json", lines=lines).stdout)

    assert done.exit_code == 1
    assert done.stdout == ""
    assert "nothing of it is in" in done.stderr
    assert (told["run_id"], told["rollouts"], told["refused"]) == (None, 0, len(lines))


def test_json_tells_all_of_it(imports):
    """One document, with each reason."""
    done = imports("--json", lines=(CHAT, "{"))

    said = json.loads(done.stdout)
    assert (said["rollouts"], said["known"], said["refused"]) == (1, 0, 1)
    assert said["reasons"][0]["where"] == "chats.jsonl:2"


def test_another_format_is_an_error_with_its_name(imports, tmp_path):
    """No traceback, no log that was not there, and the command to type."""
    done = imports(format="otlp")

    assert done.exit_code == 1
    assert "error[IMPORT_WRONG_FORMAT]" in done.stderr
    assert "agl import jsonl" in done.stderr
    assert not (tmp_path / "deep").exists()


def test_a_run_of_what_was_imported_is_nothing_to_resume(imports, tmp_path):
    """It is found by its id, and says why."""
    run_id = json.loads(imports("--json").stdout)["run_id"]

    done = CliRunner().invoke(agl, ["resume", run_id, "--log", str(tmp_path / "deep" / "run.db")])

    assert done.exit_code == 1
    assert "error[RUN_NOT_IMPORTABLE]" in done.stderr
    assert "its rollouts were imported" in done.stderr


def test_many_reasons_are_cut(imports):
    """Twenty are shown, and the others counted."""
    done = imports(lines=["{"] * 25)

    assert done.stderr.count("refused[") == 20
    assert "5 more were refused" in done.stderr


def test_the_formats_of_the_command_are_those_of_the_library():
    """The list is there so that `agl --help` imports nothing."""
    import agl_core.importing

    assert set(FORMATS) == set(agl_core.importing.FORMATS)

"""`agl doctor` says what is wrong, by a line each, a cure, and an exit status that programs understand."""

from __future__ import annotations

import json
import textwrap

import pytest

from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.preflight import Check, Finding
from agl_core.testing import ScriptedModel

AGENTS = """
    import httpx

    import agl_core as agl


    @agl.rollout
    async def sound(task, llm):
        async with httpx.AsyncClient() as client:
            reply = await client.post(
                f"{llm.endpoint}/chat/completions",
                headers={"authorization": f"Bearer {llm.api_key}"},
                json={"model": llm.model, "messages": [{"role": "user", "content": "?"}]},
            )
        return float(task["n"]) if reply.is_success else None


    @agl.rollout
    async def constant(task, llm):
        await sound.rollout_async(task, {"llm": llm}, None)
        return 0.5


    @agl.rollout
    async def silent(task):
        return None


    @agl.rollout
    async def hangs(task):
        import asyncio

        await asyncio.Event().wait()
"""


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """A folder with agents and tasks in it, and no plugins; nothing of this machine's own is looked at twice."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "AGL_LOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "doctored_agents.py").write_text(textwrap.dedent(AGENTS))
    (tmp_path / "tasks.jsonl").write_text('{"n": 0}\n{"n": 1}\n{"n": 2}\n')
    monkeypatch.syspath_prepend(tmp_path)


def codes(done):
    """Codes of what failed."""
    return {one["code"] for one in json.loads(done.stdout)["findings"] if one["status"] == "fail"}


def test_a_finding_is_a_line_with_its_cure(ask, monkeypatch):
    """And the page that tells it at length."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:4000/v1")

    done = ask("doctor")

    assert done.exit_code == 1
    assert "fail    base URLs [BASE_URL_SUFFIX]: ANTHROPIC_BASE_URL is" in done.stdout
    assert "cure: export ANTHROPIC_BASE_URL=http://127.0.0.1:4000\n" in done.stdout
    assert "see docs/how-to/cures/base-url-suffix.md" in done.stdout


def test_programs_get_one_document(ask, monkeypatch):
    """Every finding, also those that are well."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef")

    done = ask("doctor", "--json")

    told = json.loads(done.stdout)
    assert {"python", "packages", "plugins", "database", "disk", "ports", "keys"} <= {
        one["check"] for one in told["findings"]
    }
    assert "0123456789ab" not in done.stdout
    assert all(one["status"] in {"ok", "warn", "fail", "skipped"} for one in told["findings"])
    assert told["ok"] == (done.exit_code == 0)


def test_it_leaves_nothing_behind(ask, tmp_path):
    """Neither a log, nor a trace of having tried one."""
    before = {path.name for path in tmp_path.iterdir()}

    ask("doctor", "--log", tmp_path / "log.db")

    assert {path.name for path in tmp_path.iterdir()} == before


def test_an_agent_that_is_well_is_told_so(ask):
    """Its calls and rewards are counted."""
    with ScriptedModel("4", owner="vllm") as model:
        done = ask(
            "doctor", "doctored_agents:sound", "--tasks", "tasks.jsonl", "--model", f"policy={model.url}#policy",
            "--rollouts", 3, "--json",
        )  # fmt: skip

    (found,) = (one for one in json.loads(done.stdout)["findings"] if one["check"] == "agent")
    assert (found["status"], found["what"]) == (
        "ok",
        "3 rollout(s) ran, 3 model call(s) were captured, rewards: 0, 1, 2",
    )


@pytest.mark.parametrize(
    ("agent", "wanted"),
    [("silent", {"CAPTURE_NONE", "REWARD_MISSING"}), ("hangs", {"AGENT_HANGS"}), ("missing", {"NOT_IMPORTABLE"})],
)
def test_an_agent_that_would_teach_nothing_is_told_why(ask, agent, wanted):
    """One rollout shows it."""
    done = ask("doctor", f"doctored_agents:{agent}", "--tasks", "tasks.jsonl", "--timeout", 1, "--json")

    assert done.exit_code == 1
    assert wanted <= codes(done)


def test_a_reward_that_never_changes_is_told_when_rollouts_are_compared(ask):
    """One rollout cannot show it, and three can."""
    with ScriptedModel("4", owner="vllm") as model:
        asked = (
            "doctor", "doctored_agents:constant", "--tasks", "tasks.jsonl", "--model", f"policy={model.url}#policy",
            "--json",
        )  # fmt: skip

        assert "REWARD_CONSTANT" not in codes(ask(*asked))
        assert "REWARD_CONSTANT" in codes(ask(*asked, "--rollouts", 3))


def test_what_an_algorithm_needs_makes_a_warning_a_failure(ask, tmp_path):
    """Without one, token ids may not be wanted."""
    (tmp_path / "doctored_algorithm.py").write_text("class Learner:\n    needs = ('calls', 'token_ids')\n")
    with ScriptedModel("4", owner="somebody") as model:
        asked = (
            "doctor", "doctored_agents:sound", "--tasks", "tasks.jsonl", "--model", f"policy={model.url}#policy",
            "--json",
        )  # fmt: skip

        assert "TOKEN_IDS_MISSING" not in codes(ask(*asked))
        assert "TOKEN_IDS_MISSING" in codes(ask(*asked, "--algorithm", "doctored_algorithm:Learner"))


def test_an_agent_without_tasks_is_wrong_usage(ask):
    """There is nothing to run it on."""
    done = ask("doctor", "doctored_agents:sound")

    assert done.exit_code == 2
    assert "--tasks" in done.stderr


def test_every_command_names_the_page_of_its_error(ask):
    """The doctor is not the only one who says a code."""
    done = ask("run", "no_such_module:agent", "--tasks", "tasks.jsonl")

    assert "error[NOT_IMPORTABLE]" in done.stderr
    assert done.stderr.count("docs/how-to/cures/not-importable.md") == 1


def test_a_check_that_could_not_be_made_is_done_in_part(ask, monkeypatch):
    """When nothing else is wrong: warnings are not."""

    class Guest:
        @hookimpl
        def agl_register_checks(self):
            """One that is well, one with a warning, one that raises."""

            def trips(_given):
                raise KeyError("x")

            return [
                Check(name="odd", look=lambda _given: [Finding(status="warn", what="odd", code="ODD")]),
                Check(name="trips", look=trips),
            ]

    plugins = Plugins()
    plugins.register(Guest(), name="guest")
    monkeypatch.setattr(Plugins, "load", lambda: plugins)

    done = ask("doctor")

    assert done.exit_code == 3, done.output
    assert "1 failed, 1 warning(s)" in done.stdout
    assert "plugin 'guest'" in done.stdout

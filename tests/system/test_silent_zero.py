"""Silent zero: a run that works, and in which nothing can be learned, stops at its first rollout with a code.

Each fault is a real agent's, against a real gateway and a scripted model; the same agent mended passes.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.errors import AglError, TracerFailed
from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.testing import Refusal, ScriptedModel
from agl_core.trainer import Trainer

from ._learning import Learner, Settings, ask, sound

TASKS = [{"n": 0}, {"n": 1}, {"n": 2}]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    monkeypatch.delenv("AGL_PREFLIGHT", raising=False)


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Where the run of a test is to write."""
    return str(tmp_path / "log.db")


@pytest.fixture
def fit(log: str) -> Iterator[Callable[..., Any]]:
    """Train an agent on a scripted model, which gives token ids as vLLM does."""
    with ExitStack() as closing:

        def fitted(agent: Any, *, script: Any = "4", owner: str = "vllm", val: Any = None, **options: Any) -> Any:
            model = closing.enter_context(ScriptedModel(script, owner=owner))
            chosen = {"algorithm": Learner(), "models": {"policy": f"{model.url}#policy"}, "n_runners": 4, **options}
            return Trainer(store=log, **chosen).fit(agent, TASKS, val_dataset=val)

        yield fitted


def rows(log: str, sql: str) -> list[Any]:
    """What the log says."""
    with agl.open_log(log, readonly=True) as found:
        return list(found.rows(sql))


# --- one rollout tells


@agl.rollout
async def never_asks(task: Any) -> float:
    """Answers by itself."""
    return float(task["n"])


@agl.rollout
async def says_nothing(task: Any, llm: agl.LLM) -> None:
    """Forgets to return its reward."""
    await ask(llm.endpoint, llm.api_key, llm.model)


@agl.rollout
async def asks_elsewhere(task: Any, llm: agl.LLM) -> float:
    """Asks the provider from a thread that carries no context, past the gateway."""
    thread = threading.Thread(target=asyncio.run, args=(ask(PLACES[-1], "key", "policy"),))
    thread.start()
    await asyncio.to_thread(thread.join)
    return float(task["n"])


@agl.rollout
async def asks_elsewhere_in_context(task: Any, llm: agl.LLM) -> float:
    """Asks the provider from a thread of its context."""
    await asyncio.to_thread(asyncio.run, ask(PLACES[-1], "key", "policy"))
    return float(task["n"])


@agl.rollout
async def is_greedy(task: Any, llm: agl.LLM) -> float:
    """Insists on temperature 0."""
    await ask(llm.endpoint, llm.api_key, llm.model, temperature=0)
    return float(task["n"])


@agl.rollout
async def hides_refusals(task: Any, llm: agl.LLM) -> float:
    """Takes any failure for a wrong answer."""
    reply = await ask(llm.endpoint, llm.api_key, llm.model, **llm.sampling_parameters)
    return float(task["n"]) if reply.is_success else 0.0


@agl.rollout
async def raises(task: Any, llm: agl.LLM) -> float:
    """Trips over each task."""
    raise KeyError("answer")


@agl.rollout
async def hangs(task: Any, llm: agl.LLM) -> float:
    """Waits for what never comes."""
    await asyncio.Event().wait()
    return 1.0


PLACES: list[str] = []
"""Where a provider is, for agents that know it by themselves."""


def stopped(fit: Callable[..., Any], agent: Any, **options: Any) -> AglError:
    """What stopped the run."""
    with pytest.raises(AglError) as caught:
        fit(agent, **options)
    return caught.value


def test_an_agent_that_never_asks_a_model_is_stopped(fit, log):
    """CAPTURE_NONE: one rollout ran, the others were not begun, and the log says why."""
    error = stopped(fit, never_asks)

    assert error.code == "CAPTURE_NONE"
    assert "docs/how-to/cures/capture-none.md" in " ".join(error.__notes__)
    assert rows(log, "select count(*) from attempts") == [(1,)]
    ((status, why),) = rows(log, "select status, why from runs")
    assert (status, why.partition(":")[0]) == ("failed", "CAPTURE_NONE")
    assert fit(sound).status == "finished"


def test_an_agent_that_gives_no_reward_is_stopped(fit, log):
    """REWARD_MISSING: nothing stands in for it, not even a zero."""
    error = stopped(fit, says_nothing)

    assert error.code == "REWARD_MISSING"
    assert rows(log, "select count(*) from rewards") == [(0,)]
    assert fit(sound).status == "finished"


def test_calls_that_belong_to_nobody_are_told_from_calls_that_were_not_made(fit):
    """UNATTRIBUTED_CALL: seen in a thread without the agent's context; in its context they are the agent's."""
    with ScriptedModel("4") as provider:
        PLACES.append(provider.url)
        error = stopped(fit, asks_elsewhere, algorithm=Learner(needs=("calls", "rewards")))
        mended = fit(asks_elsewhere_in_context, algorithm=Learner(needs=("calls", "rewards")))

    assert error.code == "UNATTRIBUTED_CALL"
    assert "1 model call(s)" in str(error)
    assert mended.status == "finished"


def test_a_model_that_keeps_its_token_ids_is_found_at_the_first_rollout(fit, log):
    """TOKEN_IDS_MISSING: before a round of rollouts is paid for."""
    error = stopped(fit, sound, owner="somebody")

    assert error.code == "TOKEN_IDS_MISSING"
    assert rows(log, "select count(*) from attempts") == [(1,)]
    assert fit(sound, owner="vllm").status == "finished"
    assert fit(sound, owner="somebody", algorithm=Learner(needs=("calls", "rewards"))).status == "finished"


def test_an_agent_that_always_answers_alike_is_stopped(fit):
    """NO_EXPLORATION: whatever the algorithm samples with, the agent's own request goes over it."""
    error = stopped(fit, is_greedy)

    assert error.code == "NO_EXPLORATION"
    assert "the agent" in str(error)
    assert fit(sound).status == "finished"


def test_an_agent_that_hides_refusals_is_stopped(fit):
    """CALLS_FAILED: each call was refused, and each rollout earned a clean zero."""
    refusal = Refusal(status=400, code="invalid_value", message="no such tool")

    error = stopped(fit, hides_refusals, script=lambda _asked: refusal)

    assert error.code == "CALLS_FAILED"
    assert "invalid_value" in str(error)
    assert fit(hides_refusals).status == "finished"


def test_an_agent_that_raises_on_every_task_is_stopped(fit, log):
    """AGENT_FAILED: one failure may be bad luck, and three in a row are not."""
    error = stopped(fit, raises)

    assert error.code == "AGENT_FAILED"
    assert "KeyError" in str(error)
    assert rows(log, "select count(*) from attempts") == [(3,)]


def test_an_agent_that_hangs_is_stopped(fit, log):
    """AGENT_HANGS: the time-out of one rollout is waited for, and not that of all."""
    error = stopped(fit, hangs, rollout_config=agl.RolloutConfig(timeout_seconds=0.2))

    assert error.code == "AGENT_HANGS"
    assert rows(log, "select count(*) from attempts") == [(1,)]


@pytest.mark.parametrize(("template", "engine"), [("Solve {question}", "f-string"), ("Solve {{ question }}", "jinja")])
def test_a_template_with_a_hole_that_nobody_fills_is_stopped(fit, log, template, engine):
    """PLACEHOLDER_MISSING: with its name, at the first rollout."""

    @agl.rollout
    async def fills(task: Any, llm: agl.LLM, prompt_template: agl.PromptTemplate) -> float:
        prompt_template.format(task=task["n"])
        await ask(llm.endpoint, llm.api_key, llm.model, **llm.sampling_parameters)
        return float(task["n"])

    def resources(text: str) -> dict[str, Any]:
        return {"prompt": agl.PromptTemplate(template=text, engine=engine)}

    error = stopped(fit, fills, initial_resources=resources(template))

    assert (error.code, error.name) == ("PLACEHOLDER_MISSING", "question")
    assert rows(log, "select count(*) from attempts") == [(1,)]
    assert fit(fills, initial_resources=resources(template.replace("question", "task"))).status == "finished"


# --- none has to run


def test_splits_that_share_a_task_are_refused_before_anything_starts(fit, log):
    """SPLITS_OVERLAP: no log is made; equal JSON is the same task, in whatever order its fields stand."""
    error = stopped(fit, sound, val=[{"n": 1}, {"n": 7}])

    assert (error.code, error.tasks) == ("SPLITS_OVERLAP", 1)
    assert not Path(log).exists()
    assert fit(sound, val=[{"n": 7}]).status == "finished"


def test_a_group_of_one_is_refused_before_anything_starts(fit, log):
    """GROUP_TOO_SMALL."""
    error = stopped(fit, sound, algorithm=Learner(Settings(group_size=1)))

    assert (error.code, error.size) == ("GROUP_TOO_SMALL", 1)
    assert not Path(log).exists()


@pytest.mark.parametrize(
    "options",
    [{"algorithm": Learner(Settings(temperature=0.0))}, {"sampling": {"train": {"temperature": 0}}}],
    ids=["algorithm", "trainer"],
)
def test_temperature_zero_is_refused_before_anything_starts(fit, log, options):
    """NO_EXPLORATION: where the algorithm or the trainer asks for it."""
    error = stopped(fit, sound, **options)

    assert error.code == "NO_EXPLORATION"
    assert not Path(log).exists()


# --- what was always so


def test_a_tracer_whose_target_raises_import_error_fails_the_run_before_the_first_rollout(fit, log):
    """Swallowed, it would be the run in which no agent is seen."""

    class Gone:
        @hookimpl
        def agl_install_tracer(self, recorder: Any) -> Any:
            """Its library is broken."""

            @contextmanager
            def tracer() -> Iterator[None]:
                raise ImportError("cannot import name 'Tracer' from 'framework'")
                yield

            return tracer()

    plugins = Plugins.load()
    plugins.register(Gone(), name="gone")

    with pytest.raises(TracerFailed, match=r"gone.*ImportError.*framework"):
        fit(sound, plugins=plugins)

    assert rows(log, "select count(*) from rollouts") == [(0,)]


def test_a_reward_that_is_missing_is_never_a_number(fit, log):
    """Without a look at the first rollout the run goes on, and still nothing was earned."""
    fit(says_nothing, preflight=False)

    assert rows(log, "select count(*), sum(value) from rewards") == [(0, None)]
    assert rows(log, "select count(*) from rollouts where status = 'succeeded'") == [(6,)]


def test_a_reward_that_is_no_number_fails_the_rollout(fit):
    """What a grader that is not installed leaves is an error with its place, and no zero."""

    @agl.rollout
    async def graded(task: Any, llm: agl.LLM) -> float:
        await ask(llm.endpoint, llm.api_key, llm.model)
        import a_grader_that_is_not_installed as grader  # type: ignore[import-not-found]

        return float(grader.score(task))

    error = stopped(fit, graded)

    assert error.code == "AGENT_FAILED"
    assert "a_grader_that_is_not_installed" in str(error)


ORDERS = {
    "openai": """
        client = {module}.OpenAI(base_url=url, api_key="key")
        client.chat.completions.create(model="policy", messages=[{{"role": "user", "content": "?"}}])
    """,
    "httpx": """
        body = {{"model": "policy", "messages": [{{"role": "user", "content": "?"}}]}}
        {module}.post(f"{{url}}/chat/completions", json=body, headers={{"authorization": "Bearer key"}})
    """,
    "litellm": """
        messages = [{{"role": "user", "content": "?"}}]
        {module}.completion("openai/policy", messages=messages, base_url=url, api_key="key")
    """,
    "langchain_openai": """
        {module}.ChatOpenAI(model="policy", base_url=url, api_key="key").invoke("?")
    """,
}
"""Library to a model call of a provider, past the gateway."""


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize(
    "library",
    ["httpx", "openai", *(pytest.param(name, marks=pytest.mark.slow) for name in ("litellm", "langchain_openai"))],
)
def test_whenever_a_library_is_imported_its_calls_are_captured(tmp_path, library, order):
    """Before the trainer begins, or in the middle of the agent."""
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    call = textwrap.indent(textwrap.dedent(ORDERS[library].format(module=library)), "    ")
    imported = f"import {library}\n"
    program = (
        f"{imported if order == 'before' else ''}"
        "import sys\n"
        "import agl_core as agl\n"
        "url = sys.argv[1]\n"
        "@agl.rollout\n"
        "def agent(task):\n"
        f"    {imported if order == 'after' else 'pass'}\n"
        f"{call}\n"
        "    return float(task)\n"
        "agl.Trainer(store='log.db').fit(agent, [1, 2])\n"
    )
    (tmp_path / "program.py").write_text(program)
    environment = {**os.environ, "AGL_LOAD_PLUGINS": ""}

    with ScriptedModel("4") as model:
        command = [sys.executable, "program.py", model.url]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    assert done.returncode == 0, done.stderr
    assert rows(str(tmp_path / "log.db"), "select count(*), min(status) from calls") == [(2, "ok")]

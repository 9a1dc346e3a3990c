"""Functions as agents: what they are given, and what is refused before anything runs."""

import functools

import pytest

import agl_core as agl
from agl_core.agents import FunctionalLitAgent
from agl_core.errors import BadValue, UnknownName

MAIN, OTHER = agl.LLM(endpoint="http://main", model="m"), agl.LLM(endpoint="http://other", model="o")
PROMPT = agl.PromptTemplate(template="{x}", engine="f-string")


def given(fn, resources):
    """What the function got beside the task."""
    rollout = agl.Rollout(rollout_id="ro-1", input=1, start_time=0.0)
    return agl.rollout(fn).rollout(1, resources, rollout)


def test_a_name_goes_before_a_type():
    """By name among several of its type; by type where only one has it."""

    def agent(task, llm, prompt_template):
        return llm, prompt_template

    assert given(agent, {"other": OTHER, "llm": MAIN, "main_prompt": PROMPT}) == (MAIN, PROMPT)


def test_two_of_a_type_are_not_guessed_at():
    """The error names what there is."""
    with pytest.raises(UnknownName, match="Several have that type"):
        given(lambda task, llm: (task, llm), {"one": MAIN, "two": OTHER})


@pytest.mark.parametrize(
    ("parameter", "cure"), [("llm", "--model policy=URL"), ("prompt_template", "initial_resources")]
)
def test_what_nobody_named_says_how_it_is_named(parameter, cure):
    """The first run of many a person is one without a model."""
    agents = {
        "llm": lambda task, llm: (task, llm),
        "prompt_template": lambda task, prompt_template: (task, prompt_template),
    }
    agent = agents[parameter]

    with pytest.raises(UnknownName, match=cure):
        given(agent, {})


def test_keyword_only_parameters_are_given_too():
    """The rollout among them."""

    def agent(task, *, llm, rollout):
        return llm, rollout.rollout_id

    assert given(agent, {"llm": MAIN}) == (MAIN, "ro-1")


def test_a_task_may_be_passed_by_its_name():
    """`def agent(*, task, llm)`."""

    def agent(*, task, llm):
        return task, llm

    assert given(agent, {"llm": MAIN}) == (1, MAIN)


def test_a_default_stands_in_for_what_is_not_there():
    """And gives way to what is."""

    def agent(task, llm=None, temperature=0.5):
        return task, llm, temperature

    assert given(agent, {}) == (1, None, 0.5)
    assert given(agent, {"llm": MAIN}) == (1, MAIN, 0.5)


def test_an_annotation_finds_a_resource_of_another_name():
    """When only one has that type."""

    def agent(task, helper: agl.LLM):
        return task, helper

    assert given(agent, {"main": MAIN, "prompt": PROMPT}) == (1, MAIN)


def test_an_annotated_result_costs_no_annotation():
    """All of them resolve, that of the result too."""

    def agent(task, helper: agl.LLM) -> agl.RolloutRawResult:
        return [task, helper]

    assert given(agent, {"main": MAIN, "other": PROMPT}) == [1, MAIN]


def test_an_agent_is_decorated_once():
    """A second time changes nothing."""
    agent = agl.rollout(Callable().later)

    assert agl.rollout(agent) is agent


def test_decorators_of_ours_go_beneath():
    """What they wrap is still async, or not, and takes what it took."""

    @agl.rollout
    @agl.agent("writer")
    @agl.operation
    async def agent(task, llm):
        return task, llm

    assert agent.is_async()


def test_what_a_partial_has_fixed_stays():
    """It is the user's own choice."""

    def agent(task, llm, style):
        return task, llm, style

    assert given(functools.partial(agent, style="dry", llm=OTHER), {"llm": MAIN}) == (1, OTHER, "dry")


class Callable:
    """An agent as an object."""

    def __call__(self, task, llm: agl.LLM):
        """In a thread."""
        return task, llm

    async def later(self, task, llm):
        """In the loop."""
        return task, llm


class Later:
    """An agent as an object, async."""

    async def __call__(self, task, llm):
        """In the loop."""
        return llm.model


def test_objects_and_methods_are_agents():
    """Sync or async, as they are."""
    assert given(Callable(), {"llm": MAIN}) == (1, MAIN)
    assert not agl.rollout(Callable()).is_async()
    for fn in (Later(), Callable().later, functools.partial(Callable().later, llm=MAIN)):
        assert agl.rollout(fn).is_async()


def test_an_async_object_runs(step, spans):
    """In the loop."""

    class Agent:
        async def __call__(self, task) -> None:
            agl.emit_message(str(task["n"]))

    assert [agl.get_message_value(span) for span in spans(step(agl.rollout(Agent())))] == ["1"]


def test_an_agent_is_still_the_function():
    """With its name and what it says of itself."""

    @agl.rollout
    def agent(task, llm):
        """Answers."""
        return task, llm

    assert agent(1, llm=2) == (1, 2)
    assert (agent.__name__, agent.__doc__) == ("agent", "Answers.")


def yields(task):
    """No agent."""
    yield task


async def yields_later(task):
    """No agent."""
    yield task


class Method:
    """No agent."""

    def run(self, task):
        """No agent either, without an object."""


@pytest.mark.parametrize(
    ("fn", "cure"),
    [
        (lambda question: question, "def agent\\(task"),
        (lambda: 1, "def agent\\(task"),
        (yields, "emit"),
        (yields_later, "emit"),
        (functools.partial(yields), "emit"),
        (Method.run, "made.method"),
        (Method, "LitAgent"),
        ("agent", "decorate"),
        (lambda task, llm, /: (task, llm), "behind"),
    ],
    ids=[
        "other-name",
        "no-parameter",
        "generator",
        "async-generator",
        "partial",
        "method",
        "class",
        "text",
        "positional",
    ],
)
def test_what_is_no_agent_is_refused_when_it_is_decorated(fn, cure):
    """By name, with the cure."""
    with pytest.raises(BadValue, match=cure) as raised:
        agl.rollout(fn)

    assert getattr(fn, "__qualname__", "yields" if callable(fn) else "agent") in str(raised.value)


@pytest.mark.parametrize(
    ("decorator", "parameter"), [(agl.llm_rollout, "llm"), (agl.prompt_rollout, "prompt_template")]
)
def test_a_decorator_that_names_a_resource_wants_it_taken(decorator, parameter):
    """With brackets and without."""

    def takes_llm(task, llm):
        """One of them."""

    def takes_prompt(task, prompt_template):
        """The other."""

    right, wrong = (takes_llm, takes_prompt) if parameter == "llm" else (takes_prompt, takes_llm)

    assert isinstance(decorator(right), FunctionalLitAgent)
    assert isinstance(decorator()(right), FunctionalLitAgent)
    with pytest.raises(BadValue, match=parameter):
        decorator(wrong)
    assert isinstance(agl.llm_rollout(strip_proxy=False)(takes_llm), FunctionalLitAgent)

"""Resources have Agent Lightning's fields and meaning, and prompts may hold braces."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.errors import AglError, BadValue, MissingExtra
from agl_core.resources import LLM, Differences, PromptTemplate, ProxyLLM, Resource, dump, load


@dataclass
class Attempted:
    """What has the ids of an attempt."""

    rollout_id: str = "ro-1"
    attempt_id: str = "at-1"


# --- models


def test_a_plain_llm_has_one_address():
    """Whoever asks."""
    llm = LLM(endpoint="http://h/v1", model="m")

    assert llm.get_base_url("ro-1", "at-1") == llm.get_base_url() == "http://h/v1"


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://h:1", "http://h:1/rollout/ro-1/attempt/at-1"),
        ("http://h:1/", "http://h:1/rollout/ro-1/attempt/at-1"),
        ("http://h:1/v1", "http://h:1/rollout/ro-1/attempt/at-1/v1"),
        ("http://h:1/v1/", "http://h:1/rollout/ro-1/attempt/at-1/v1"),
        ("http://h:1/base/v1", "http://h:1/base/rollout/ro-1/attempt/at-1/v1"),
    ],
)
def test_a_proxy_has_an_address_for_each_attempt(endpoint, url):
    """A `/v1` at the end stays at the end."""
    assert ProxyLLM(endpoint=endpoint, model="m").get_base_url("ro-1", "at-1") == url


def test_a_proxy_without_ids_has_its_plain_address():
    """For who is no attempt."""
    assert ProxyLLM(endpoint="http://h/v1", model="m").get_base_url() == "http://h/v1"


@pytest.mark.parametrize("ids", [("ro-1", None), (None, "at-1")])
def test_half_an_attempt_is_refused(ids):
    """A call would be attributed to nobody."""
    with pytest.raises(BadValue, match="both ids"):
        ProxyLLM(endpoint="http://h/v1", model="m").get_base_url(*ids)


def test_a_proxy_becomes_a_plain_llm_for_an_attempt():
    """All else stays."""
    proxy = ProxyLLM(endpoint="http://h/v1", model="m", api_key="k", sampling_parameters={"temperature": 0.5})

    llm = proxy.with_attempted_rollout(Attempted())

    assert type(llm) is LLM
    assert llm.endpoint == "http://h/rollout/ro-1/attempt/at-1/v1"
    assert (llm.model, llm.api_key, llm.sampling_parameters) == ("m", "k", {"temperature": 0.5})


def test_a_key_is_never_shown():
    """Neither by `repr` nor in what the log keeps."""
    llm = LLM(endpoint="http://h/v1", model="m", api_key="sk-secret")

    assert "sk-secret" not in repr(llm) + str(dump(llm))


@pytest.mark.parametrize(
    "resource",
    [
        LLM(endpoint="http://h/v1", model="m", sampling_parameters={"temperature": 0.5}),
        ProxyLLM(endpoint="http://h/v1", model="m"),
        PromptTemplate(template="{x}", engine="jinja"),
    ],
    ids=lambda resource: resource.resource_type,
)
def test_what_is_kept_is_loaded_again(resource):
    """The type is in the data."""
    assert load(dump(resource)) == resource


def test_a_key_comes_back_from_elsewhere():
    """To what takes one."""
    kept = dump(LLM(endpoint="http://h/v1", model="m", api_key="k"))

    assert load(kept, api_key="k").api_key == "k"
    assert load(dump(PromptTemplate(template="x")), api_key="k") == PromptTemplate(template="x")


def test_what_is_no_resource_is_refused():
    """With the kinds there are."""
    with pytest.raises(BadValue, match="llm, prompt_template, proxy_llm"):
        dump(Resource())
    with pytest.raises(BadValue, match="llm, prompt_template, proxy_llm"):
        load({"resource_type": "weather"})


# --- prompts


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("Say {x}.", "Say 3."),
        ("{x!r} {x:>3} {y!s:*^5}", "3   3 **b**"),
        ('Answer as {"a": {"b": [1, {}]}}', 'Answer as {"a": {"b": [1, {}]}}'),
        ('Answer as {"n": {x}}', 'Answer as {"n": 3}'),
        ('{"a": {"b": {x}}}', '{"a": {"b": 3}}'),
        ('{{"a": {x}}}', '{"a": 3}'),
        ('{{"a": {{"b": {x}}}}}', '{"a": {"b": 3}}'),
        ("{{x}}", "{x}"),
        ("{} {0} {a b} { x }", "{} {0} {a b} { x }"),
        ("f(x) { return 1; }", "f(x) { return 1; }"),
        ("}} {{", "}} {"),
    ],
)
def test_braces_that_are_no_placeholder_stay(template, filled):
    """JSON and code in a prompt are text; what `str.format` escapes is still an escape."""
    assert PromptTemplate(template=template).format(x=3, y="b") == filled


@given(st.text('{}xy": ,[]0a\n', max_size=30))
def test_a_prompt_is_filled_or_refused_by_a_code(template):
    """Whatever a model makes of a template, the agent hears of it in our words."""
    try:
        filled = PromptTemplate(template=template).format(x="X", y="Y", a="A", xy="XY")
    except AglError:
        return
    assert isinstance(filled, str)


@given(
    st.recursive(st.integers() | st.text("ab {}"), lambda inner: st.lists(inner) | st.dictionaries(st.just("k"), inner))
)
def test_values_are_never_filled_again(value):
    """What a task says is not taken for a placeholder."""
    assert PromptTemplate(template="<{x}>").format(x=str(value)) == f"<{value}>"


@pytest.mark.parametrize("engine", ["f-string", "jinja"])
def test_a_placeholder_without_a_value_is_refused(engine):
    """By its name."""
    template = "{task}" if engine == "f-string" else "{{ task }}"

    with pytest.raises(BadValue, match="task"):
        PromptTemplate(template=template, engine=engine).format(question="x")


def test_a_format_that_does_not_fit_the_value_is_refused():
    """With the placeholder it is about."""
    with pytest.raises(BadValue, match=r"\{x:d\}"):
        PromptTemplate(template="{x:d}").format(x="three")


def test_jinja_is_rendered():
    """With loops and conditions."""
    template = PromptTemplate(template="{% for i in items %}{{ i }};{% endfor %}\n", engine="jinja")

    assert template.format(items=[1, 2]) == "1;2;\n"


@pytest.mark.parametrize(
    "template",
    [
        "{% for %}",
        "{{ x.__class__.__mro__[1].__subclasses__() }}",
        "{{ items.append(1) }}",
        "{{ 1 / 0 }}",
        "{{ x + 'a' }}",
        "{{ range(10 ** 9) }}",
        "{% include 'other' %}",
        "{{" + "(" * 3000 + "}}",
    ],
)
def test_jinja_that_does_not_parse_fails_or_reaches_out_is_refused(template):
    """A template that a model wrote is a program of a stranger."""
    with pytest.raises(BadValue):
        PromptTemplate(template=template, engine="jinja").format(x=1, items=[])


# --- which placeholders a prompt has


@pytest.mark.parametrize(
    ("template", "engine", "names"),
    [
        ("Say {x}, {y!r:>3} and {x}.", "f-string", {"x", "y"}),
        ('Answer {q} as {"a": {"b": [1, {}]}}, {{not}} { this } {0}', "f-string", {"q"}),
        ('{{"a": {x}}}', "f-string", {"x"}),
        ("nothing", "f-string", set()),
        ("{{ x }}{# {{ no }} #}{% raw %}{{ no }}{% endraw %} {no}", "jinja", {"x"}),
        ("{% for i in range(n) %}{{ i }}{{ loop.index }}{% endfor %}{% set y = 2 %}{{ y }}", "jinja", {"n"}),
        ("{% if shots is defined %}{{ shots }}{% endif %}{{ task.question }}", "jinja", {"shots", "task"}),
    ],
)
def test_the_placeholders_of_a_template_are_known_without_filling_it(template, engine, names):
    """What is text, escaped, or made inside the template is none of them."""
    assert PromptTemplate(template=template, engine=engine).placeholders == names


@given(st.text('{}xy": ,[]0a\n', max_size=30))
def test_the_placeholders_are_what_filling_needs(template):
    """With a value for each of them a prompt is filled; with one fewer it is not."""
    prompt = PromptTemplate(template=template)
    names = prompt.placeholders

    prompt.format(**{name: _Anything() for name in names})

    for name in names:
        with pytest.raises(BadValue, match="placeholder"):
            prompt.format(**{other: _Anything() for other in names - {name}})


class _Anything(str):
    """A value that fits every format."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return ""


@pytest.mark.parametrize(
    "template",
    ["{% for %}", "{{ x", "{{ x | no_such_filter }}", "{% include 'other' %}", "{{" + "(" * 3000 + "}}"],
)
def test_a_template_that_is_none_has_no_placeholders(template):
    """It is refused by its code, before an agent is given it."""
    with pytest.raises(BadValue, match="template"):
        PromptTemplate(template=template, engine="jinja").placeholders  # noqa: B018 - asked, for what it raises


def test_poml_names_its_cure():
    """Nothing here renders it."""
    prompt = PromptTemplate(template="<poml/>", engine="poml")

    with pytest.raises(MissingExtra, match="pip install poml"):
        prompt.format()
    with pytest.raises(MissingExtra, match="pip install poml"):
        prompt.placeholders  # noqa: B018 - asked, for what it raises


def test_a_rewritten_prompt_says_how_its_placeholders_differ():
    """What it lost, what it made up; nothing, when whoever filled the base can fill it."""
    base = PromptTemplate(template="Answer {question} for {reader}.")

    lost = PromptTemplate(template='{{question}} for {reader}, as {answer} in {"json": 1}').unlike(base)
    same = PromptTemplate(template="{{ reader }}: {{ question }}!", engine="jinja").unlike(base)

    assert lost == Differences(missing=("question",), invented=("answer",))
    assert str(lost) == "lacks question; invents answer"
    assert not same
    assert str(same) == "none"

"""What an answer holds: a prompt that agents can be given, or a reason why not."""

import pytest
from agl_apo._answers import plain
from agl_apo._candidate import Candidate, refused
from agl_apo._critique import LENSES
from agl_apo._critique import question as asked_for_critique
from agl_apo._edit import WAYS, parsed
from agl_apo._edit import question as asked_for_edit

from agl_core.asking import Said
from agl_core.resources import PromptTemplate, ResourcesUpdate

BASE = PromptTemplate(template="Answer: {question}")
BARE = PromptTemplate(template="Be brief.")


def read(text, base=BASE, *, finish_reason="stop", longest=200):
    """What comes of an answer: the template, or the reason."""
    said = Said(text=text, call_id="ca-1", finish_reason=finish_reason)
    made = parsed(said, base, base, longest=longest)
    return made.template if isinstance(made, PromptTemplate) else made.reason


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("<new_prompt>\nSay {question}\n</new_prompt>", "Say {question}"),
        ("Of course!\n<new_prompt>Say {question}</new_prompt>\nHope it helps {name}", "Say {question}"),
        ("<new_prompt>\n```\nSay {question}\n```\n</new_prompt>", "Say {question}"),
        ("```text\nSay {question}\n```", "Say {question}"),
        ("  Say {question}\n", "Say {question}"),
        ('<new_prompt>{question} as {"a": {"b": 1}}</new_prompt>', '{question} as {"a": {"b": 1}}'),
        ("", "no_template"),
        ("```\n```", "no_template"),
        ("<new_prompt></new_prompt>", "no_template"),
        ("<new_prompt>Say {question}", "no_template"),
        ("Here it is:\n```\nSay {question}\n```\nEnjoy!", "no_template"),
        ("Sorry, I cannot.", "placeholders"),
        ("Say {query}", "placeholders"),
        ("Say {question} to {name}", "placeholders"),
        ("Say {question}" + " again" * 40, "too_long"),
        ("<new_prompt>Answer: {question}</new_prompt>", "unchanged"),
    ],
)
def test_an_answer_is_read_for_its_prompt(answer, wanted):
    """Between the marks; else in the fence that is all of it; else all of it, when its placeholders say it is one."""
    assert read(answer) == wanted


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("<new_prompt>Be short.</new_prompt>", "Be short."),
        ("```\nBe short.\n```", "Be short."),
        ("Sorry, I cannot.", "no_template"),
        ("<new_prompt>Be {short}.</new_prompt>", "placeholders"),
    ],
)
def test_a_prompt_without_placeholders_needs_marks(answer, wanted):
    """Nothing else would tell it from an apology, and an apology would be handed to agents."""
    assert read(answer, BARE) == wanted


def test_an_answer_that_was_cut_off_is_no_prompt():
    """However well it begins."""
    assert read("Say {question}", finish_reason="length") == "cut_off"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ question }} {% for n in [1] %}{{ n }}{% endfor %}", None),
        ("{{ question }} {% if %}", "bad_template"),
        ("{{ question | upper }} {{ user.name }}", "placeholders"),
    ],
)
def test_a_jinja_prompt_is_held_to_its_variables(template, reason):
    """Those it leaves open; its own are its own."""
    base = PromptTemplate(template="Answer {{ question }}", engine="jinja")

    found = refused(PromptTemplate(template=template, engine="jinja"), base, longest=200)

    assert (found and found.reason) == reason


def test_a_fence_around_all_is_no_part_of_a_text():
    """One inside it is."""
    assert plain("```\na\n```") == "a"
    assert plain("a\n```\nb\n```") == "a\n```\nb\n```"


def test_questions_keep_every_brace(world):
    """Prompts and transcripts are full of them: nothing is formatted."""
    prompt = PromptTemplate(template='{question} {"a": {}} {{x}} {0} %s')
    bundle = ResourcesUpdate(resources_id="rs-1", version=1, create_time=0, update_time=0, resources={"p": prompt})
    candidate = Candidate(name="v0", prompts={"p": prompt, "q": BARE}, bundle=bundle)

    critique = asked_for_critique(LENSES[0], candidate, "p", ["{ran} {"])
    edit = asked_for_edit(WAYS["rewrite"], prompt, prompt, "{bad} }")

    assert f"<prompt>\n{prompt.template}\n</prompt>" in critique
    assert "<other>\nBe brief.\n</other>" in critique
    assert "{ran} {" in critique
    assert f"<prompt>\n{prompt.template}\n</prompt>" in edit
    assert "<criticism>\n{bad} }\n</criticism>" in edit
    assert "{question}" in edit.rpartition("<criticism>")[2]

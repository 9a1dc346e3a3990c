"""Every error of ours has a code, says what happened, and survives a journey."""

import inspect
import pickle
import re

import pytest

from agl_core import errors
from agl_core.errors import AglError, UnknownId, UnknownName, VersionConflict

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, AglError)]
BRANCHES = [cls for cls in CLASSES if cls.__subclasses__()]
LEAVES = [cls for cls in CLASSES if not cls.__subclasses__()]
ARGUMENTS = {
    "str": "some-word",
    "int": 7,
    "int | None": 7,
    "float": 0.5,
    "object": "some-word",
    "Iterable[str]": ("one", "two"),
    "Mapping[str, float]": {"some-word": 0.5},
    "Mapping[str, int]": {"some-word": 7},
    "Mapping[str, int] | None": {"some-word": 7},
    "Sequence[Mapping[str, Any]]": ({"at": "some-word", "recorded": 7, "asked": "some-word"},),
    "Sequence[str]": ("one", "two"),
}


def raised(cls: type[AglError]) -> AglError:
    """An error of that class, with plausible facts."""
    parameters = list(inspect.signature(cls).parameters.values())
    by_place = [ARGUMENTS[one.annotation] for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    by_name = {one.name: ARGUMENTS[one.annotation] for one in parameters if one.kind is one.KEYWORD_ONLY}
    return cls(*by_place, **by_name)


def test_every_error_is_exported():
    """What can be raised can be caught by name."""
    assert sorted(errors.__all__) == sorted(cls.__name__ for cls in CLASSES)


def test_codes_are_unique_names():
    """Programs go by them: upper case, one for each class."""
    codes = [cls.code for cls in CLASSES]

    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code) for code in codes)


def test_a_code_is_the_name_of_its_class():
    """Who knows one knows the other."""
    named = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper(): cls.code for cls in CLASSES}

    assert {name: code for name, code in named.items() if name != code} == {}


def test_the_tree_in_the_docstring_is_the_tree():
    """Every leaf stands beside its branch."""
    drawn = {}
    for line in inspect.getdoc(errors).splitlines():
        words = re.findall(r"[A-Z][a-z]\w+", line) if re.match(r"\s*[├└│]", line) else []
        if words and re.search("[├└]", line):
            branch = words.pop(0)
        for word in words:
            drawn[word] = branch

    assert drawn == {cls.__name__: cls.__base__.__name__ for cls in LEAVES}


@pytest.mark.parametrize("cls", LEAVES, ids=lambda cls: cls.__name__)
def test_the_message_tells_the_facts(cls):
    """What happened, to what: nobody has to look at attributes to understand it."""
    error = raised(cls)

    assert {"some-word", "7"} & set(re.findall(r"some-word|\b7\b", str(error)))
    assert len(str(error)) > 20


@pytest.mark.parametrize("cls", LEAVES, ids=lambda cls: cls.__name__)
def test_the_facts_are_attributes(cls):
    """Programs that answer an error need not parse its message."""
    error = raised(cls)

    assert all(getattr(error, name) == value for name, value in error.facts.items())
    with pytest.raises(AttributeError):
        _ = error.nothing_of_the_kind


@pytest.mark.parametrize("cls", LEAVES, ids=lambda cls: cls.__name__)
def test_an_error_crosses_processes(cls):
    """Workers of other processes raise them too."""
    error = raised(cls)

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(again) is cls
    assert (str(again), again.facts) == (str(error), error.facts)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_has_a_docstring(cls):
    """One sentence, for the page of codes."""
    assert cls.__doc__


def test_a_conflict_says_what_to_do():
    """The cure is in the message."""
    error = VersionConflict("rollout/ro-1", expected=3, actual=4)

    assert str(error) == "stream 'rollout/ro-1' is at version 4, not 3: read it again, then decide again"


def test_a_misspelt_name_is_guessed():
    """Otherwise the names there are."""
    near, far = (UnknownName("algorithm", name, known=["grpo", "apo"]) for name in ("gpro", "x"))

    assert "did you mean 'grpo'?" in str(near)
    assert "known: apo, grpo" in str(far)


def test_a_name_like_no_other_comes_with_its_cure():
    """The sentence that says what to do stands apart from the names; where a name is guessed, the guess is the cure."""
    near, far = (
        UnknownName("algorithm", name, known=["grpo", "apo"], cure="Is it installed?") for name in ("gpro", "x")
    )

    assert str(far) == "no algorithm is called 'x'; known: apo, grpo. Is it installed?"
    assert str(near) == "no algorithm is called 'gpro'; did you mean 'grpo'?"


@pytest.mark.parametrize(
    ("kind", "command"), [("rollout", "agl rollouts list"), ("attempt", "agl rollouts list"), ("run", "agl runs list")]
)
def test_an_unknown_id_names_a_command_that_exists(kind, command):
    """A cure that cannot be typed is none."""
    assert f"`{command}`" in str(UnknownId(kind, "x"))

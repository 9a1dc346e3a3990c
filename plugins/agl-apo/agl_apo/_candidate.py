"""Candidates: prompts as they were published, what they come from, and what keeps a text from becoming one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agl_core.errors import BadValue
from agl_core.ids import canonical, content_id
from agl_core.resources import PromptTemplate, ResourcesUpdate, dump, load

if TYPE_CHECKING:
    from agl_core.run import Run

__all__ = ["BASE", "Candidate", "Refused", "base_in", "base_of", "content_of", "published", "refused"]

BASE = "v0"
"""Name of the prompts that a search starts from."""


@dataclass(frozen=True, kw_only=True)  # no slots: the content is hashed once
class Candidate:
    """Prompts that agents were, or may be, given."""

    name: str
    """`v0` is the base; others are counted as they are published."""
    prompts: Mapping[str, PromptTemplate]
    """Those that are improved; the bundle may have more."""
    bundle: ResourcesUpdate = field(repr=False)
    parent: str | None = None
    why: str = ""
    """The critique that made it."""

    @cached_property
    def content(self) -> str:
        """Hash of its prompts: two candidates with the same are one."""
        return content_of(self.prompts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a text is no candidate."""

    reason: str
    """`no_template`, `too_long`, `cut_off`, `bad_template`, `placeholders`, `duplicate`, ..."""
    detail: str
    """For people, and for the model that wrote it."""


def content_of(prompts: Mapping[str, PromptTemplate]) -> str:
    """Hash of prompts under their names."""
    return content_id(canonical({name: dump(prompt) for name, prompt in prompts.items()}))


async def base_of(run: Run, *, names: Collection[str] = (), prompt: str = "") -> Candidate:
    """The prompts of those names (of all, when none is named) that the run was given; else `prompt`, published.

    Raises `BadValue` where there is nothing to improve, and for a prompt that is no template.
    """
    bundle = run.resources
    found = {
        name: resource
        for name, resource in (bundle.resources if bundle else {}).items()
        if isinstance(resource, PromptTemplate)
    }
    if prompt and found:
        why = f"the run has prompts among its resources: {', '.join(sorted(found))}. Leave one or the other out"
        raise BadValue("prompt", prompt, why=why)
    if prompt:
        found = {"prompt_template": PromptTemplate(template=prompt)}
        bundle = await run.publish(found, why="initial")
    if unknown := sorted(set(names) - found.keys()):
        raise BadValue("prompts", unknown, why=f"the prompts of the run are {', '.join(sorted(found)) or 'none'}")
    prompts = {name: found[name] for name in sorted(names or found)}
    if bundle is None or not prompts:
        why = (
            "there is no prompt among them: give `Trainer(initial_resources={'prompt_template': "
            "agl.PromptTemplate(template=...)})`, or `--prompt TEXT`"
        )
        raise BadValue("initial_resources", sorted(bundle.resources) if bundle else None, why=why)
    for one in prompts.values():
        _ = one.placeholders  # raises for what cannot be filled
    return Candidate(name=BASE, prompts=prompts, bundle=bundle)


async def base_in(run: Run, prompts: Mapping[str, Any], *, why: str) -> Candidate:
    """Prompts that were somebody else's, as a version of this run's, which its candidates can come from.

    Raises `BadValue` where the run was given prompts of its own.
    """
    own = run.resources.resources if run.resources else {}
    if others := sorted(name for name, one in own.items() if isinstance(one, PromptTemplate)):
        raise BadValue("initial_resources", others, why="the prompts are those of the log: leave them out")
    made = {name: load(prompt) for name, prompt in prompts.items()}
    templates = {name: one for name, one in made.items() if isinstance(one, PromptTemplate)}
    bundle = await run.publish(templates, why=why)
    for one in templates.values():
        _ = one.placeholders  # raises for what cannot be filled
    return Candidate(name=BASE, prompts=templates, bundle=bundle)


async def published(
    run: Run, name: str, parent: Candidate, changes: Mapping[str, PromptTemplate], *, why: str
) -> Candidate:
    """The parent with these prompts in their places, as a version that agents can be given."""
    bundle = await run.publish(changes, parent=parent.bundle, why=why)
    return Candidate(name=name, prompts={**parent.prompts, **changes}, bundle=bundle, parent=parent.name, why=why)


def refused(template: PromptTemplate, base: PromptTemplate, *, longest: int) -> Refused | None:
    """What is wrong with a prompt that is to stand where `base` stands; None when nothing is."""
    if not template.template.strip():
        return Refused(reason="no_template", detail="it is empty")
    if len(template.template) > longest:
        detail = f"it has {len(template.template)} characters, and {longest} is the most"
        return Refused(reason="too_long", detail=detail)
    try:
        unlike = template.unlike(base)
    except BadValue as error:
        return Refused(reason="bad_template", detail=str(error.facts["why"]))
    if unlike:
        return Refused(reason="placeholders", detail=f"it {unlike}")
    return None

"""A double of the models that criticise and edit prompts: its ideas are a person's, and it does not look at the runs.

A model of 135 million weights can answer a better prompt; it cannot write one. So this stands where a large model
would, with ideas that all sound sensible. Which of them are any good is what the search has to find out.
"""

from __future__ import annotations

from itertools import count

from agl_core.testing import Answer, Asked, ScriptedModel

__all__ = ["BASE", "IDEAS", "critic"]

BASE = "{question}"
"""The prompt that the search begins with."""
IDEAS = (
    ("Say what form the answer has, by an example.", "{question} Write only the equation, like 2 + 6 = 8."),
    ("Ask for less.", "{question} Answer in one short line."),
    ("Show a few worked examples.", "2 + 6 = 8\n9 - 4 = 5\n3 * 2 = 6\n{question}"),
    ("Forbid all but the number.", "Reply with only the number.\n{question}"),
    (
        "Show a question with its answer, and let the next answer follow.",
        "Q: Calculate 2 + 6.\nA: 8\nQ: {question}\nA:",
    ),
    ("Ask anew.", "What is the result? {question}"),
    ("Show an example before the question.", "Calculate 2 + 6.\n2 + 6 = 8\n\n{question}"),
    ("Say whom you ask.", "You are good at arithmetic. {question}"),
)
"""Criticism, and the prompt that comes of it."""


def critic() -> ScriptedModel:
    """A server, to be used in a `with` statement: what it is asked decides whether it criticises or edits."""
    turn = count()

    def answer(asked: Asked) -> Answer:
        chat = "\n".join(str(message.get("content")) for message in asked.messages)
        for criticism, prompt in IDEAS:
            if f"<criticism>\n{criticism}\n" in chat:
                return Answer(text=f"<new_prompt>{prompt}</new_prompt>")
        return Answer(text=IDEAS[next(turn) % len(IDEAS)][0])

    return ScriptedModel(answer, model="critic")

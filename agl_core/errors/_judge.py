"""Why a judge gave no number."""

from __future__ import annotations

from agl_core.errors._base import AglError

__all__ = ["ExpectedMissing", "JudgeError", "JudgeFailed", "JudgeMalformed", "JudgeUnanswered", "NothingToJudge"]


class JudgeError(AglError):
    """A rollout was not judged; what is not judged has no number, and no zero either."""

    code = "JUDGE_ERROR"


class JudgeFailed(JudgeError):
    """It raised, or gave what is no verdict."""

    code = "JUDGE_FAILED"

    def __init__(self, judge: str, *, why: str) -> None:
        super().__init__(
            f"judge {judge} failed: {why}. Mend it, and judge again: `agl judge` takes up what was not judged",
            judge=judge,
            why=why,
        )


class NothingToJudge(JudgeError):
    """The rollout left nothing of what was to be judged."""

    code = "NOTHING_TO_JUDGE"

    def __init__(self, answer: str, *, why: str) -> None:
        super().__init__(
            f"there is no answer to judge ({answer}): {why}. Say with `answer` where the agent leaves it",
            answer=answer,
            why=why,
        )


class ExpectedMissing(JudgeError):
    """The task does not say what a good answer would be."""

    code = "EXPECTED_MISSING"

    def __init__(self, expected: str, *, why: str) -> None:
        super().__init__(
            f"the task does not say what is expected ({expected}): {why}. Say with `expected` where it does",
            expected=expected,
            why=why,
        )


class JudgeUnanswered(JudgeError):
    """The model that a judge asks gave no answer."""

    code = "JUDGE_UNANSWERED"

    def __init__(self, model: str, *, why: str) -> None:
        super().__init__(
            f"{model} gave the judge no answer: {why}. Judge again when it is there: only what is missing is asked",
            model=model,
            why=why,
        )


class JudgeMalformed(JudgeError):
    """The model that a judge asks answered with no score."""

    code = "JUDGE_MALFORMED"

    def __init__(self, model: str, *, why: str, tries: int) -> None:
        super().__init__(
            f"{model} gave no score in {tries} answer(s): {why}. Let the prompt say the form, or ask a better model",
            model=model,
            why=why,
            tries=tries,
        )

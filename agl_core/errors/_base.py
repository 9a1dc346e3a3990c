"""What every error of ours is: a code, a message with the cure, and its facts."""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = ["AglError"]


class AglError(Exception):
    """The root: catch this to catch everything that is ours."""

    code: ClassVar[str] = "AGL_ERROR"
    """A stable name for programs; the message is for people."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts: dict[str, Any] = facts

    def __getattr__(self, name: str) -> Any:
        """The facts of the error, as attributes."""
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(name)

    def __reduce__(self) -> tuple[Any, ...]:
        """An error crosses to another process as it is: the builders take other arguments than they pass on."""
        return _again, (type(self), str(self), self.facts)


def _again(cls: type[AglError], message: str, facts: dict[str, Any]) -> AglError:
    error = cls.__new__(cls)
    AglError.__init__(error, message, **facts)
    return error

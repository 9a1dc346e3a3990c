"""Plugins of one hook, which does what a test wants."""

from types import SimpleNamespace

from agl_core.hookspecs import hookimpl


def plugin(name, function):
    """A plugin with one hook."""
    return SimpleNamespace(**{name: hookimpl(function)})


def raising(error, *arguments):
    """A hook with these arguments that raises."""
    space = {"error": error}
    exec(f"def hook({', '.join(arguments)}):\n    raise error", space)  # noqa: S102 - arguments go by name
    return space["hook"]


def silent(draft):
    """Nothing."""

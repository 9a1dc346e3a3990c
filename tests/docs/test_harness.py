"""The harness that follows pages notices when a page is wrong."""

import pytest


def test_files_scripts_and_sessions_run_in_one_folder(guide, page):
    """A titled fence is a file, an untitled Python fence a script, a console fence a session."""
    text = """
Some words.

```json title="data/tasks.jsonl"
{"n": 1}
```

```python
from pathlib import Path

print(Path("data/tasks.jsonl").read_text(), "and more")
```

```text
{"n": 1} ... more
```

```console
$ cat data/tasks.jsonl
{"n": 1}
$ echo one && \\
  echo two
one
two
```
"""

    guide.follow(page(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```console\n$ false\n```", "exit 1, not 0"),
        ("```console exit=1\n$ true\n```", "exit 0, not 1"),
        ("```console\n$ echo one\ntwo\n```", "does not say"),
        ("```python\nraise ValueError('no')\n```", "ValueError: no"),
        ("```python\nimport warnings\nwarnings.warn('old')\n```", "UserWarning: old"),
        ("```python\nprint(1)\n```\n\n```text\n2\n```", "does not say"),
        ("```yaml\na: 1\n```", "a fence is a file, a program or marked"),
        ("```console no-run=lazy\n$ true\n```", "no-run=lazy is not among"),
    ],
)
def test_a_page_that_is_wrong_fails(guide, page, text, why):
    """Exit status, output, warnings, and fences that are nothing."""
    with pytest.raises(AssertionError, match=why):
        guide.follow(page(text))


def test_an_id_on_a_page_is_the_one_seen_last(guide, page):
    """A reader copies it from the screen; a page can only show how it begins."""
    seen = "run-" + "0" * 26

    guide.follow(page(f"```console\n$ echo {seen}\n$ echo run-01k...\n{seen}\n```"))


def test_what_is_marked_is_not_run(guide, page):
    """The harness knows the reason."""
    guide.follow(page("```console no-run=index\n$ false\n```"))

"""The bench that docs/how-to/measure.md adds is one."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "measure.md"


def test_the_bench_on_the_page_runs(harness, tmp_path, monkeypatch):
    """As it stands there."""
    (text,) = re.findall(r'```python title="bench/digest.py"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    (tmp_path / "digest_of_the_page.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    import digest_of_the_page

    report = digest_of_the_page.run(harness.Options(quick=True))

    assert {measure.unit: set(measure.figures) for measure in report.measures} == {"digests/s": {"blake2b", "sha256"}}

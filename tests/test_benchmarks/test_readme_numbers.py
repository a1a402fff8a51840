"""The README's tables are those of the committed results: no number is typed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import readme_tables

README = Path(readme_tables.__file__).resolve().parents[1] / "README.md"


def test_every_table_agrees_with_the_committed_results() -> None:
    assert readme_tables.filled(README.read_text()) == README.read_text()


def test_a_changed_number_is_noticed() -> None:
    """Negative control: another digit in a table is not what the results say."""
    text = README.read_text()
    start = text.index("<!-- gd1_strip -->")
    digit = next(
        place for place in range(start, len(text)) if text[place] in "123456789" and text[place - 1] == "."
    )
    changed = text[:digit] + ("1" if text[digit] != "1" else "2") + text[digit + 1 :]
    assert readme_tables.filled(changed) != changed


def test_a_missing_table_is_an_error() -> None:
    with pytest.raises(SystemExit, match="gd1_strip"):
        readme_tables.filled("no table here")

"""The tables of README and docs are those of the committed results: no number is typed by hand."""

from __future__ import annotations

import pytest
import readme_tables

DOCUMENTS = readme_tables.DOCUMENTS


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_table_agrees_with_the_committed_results(document: str) -> None:
    text = (readme_tables.ROOT / document).read_text()
    assert readme_tables.filled(text, DOCUMENTS[document]) == text


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_changed_number_is_noticed(document: str) -> None:
    """Negative control: another digit in a table is not what the results say."""
    text, names = (readme_tables.ROOT / document).read_text(), DOCUMENTS[document]
    start = text.index(f"<!-- {names[0]} -->")
    digit = next(
        place for place in range(start, len(text)) if text[place] in "123456789" and text[place - 1] == "."
    )
    changed = text[:digit] + ("1" if text[digit] != "1" else "2") + text[digit + 1 :]
    assert readme_tables.filled(changed, names) != changed


def test_every_table_has_a_place() -> None:
    assert set(readme_tables.TABLES) == {name for names in DOCUMENTS.values() for name in names}


def test_a_missing_table_is_an_error() -> None:
    with pytest.raises(SystemExit, match="gd1_contrast"):
        readme_tables.filled("no table here", ["gd1_contrast"])

"""Names of columns in messages: what is there, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["nearest", "text_list"]


def nearest(name: str, choices: Iterable[str]) -> list[str]:
    """Up to three of `choices` that look like `name`, best first; case does not matter."""
    lowered: dict[str, str] = {choice.lower(): choice for choice in reversed(list(choices))}
    return [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.4)]


def text_list(names: Iterable[str]) -> str:
    """The names that a file has, for a message, cut off after forty."""
    listed = list(names)
    more = f" and {len(listed) - 40} more" if len(listed) > 40 else ""
    return f"the columns are {listed[:40]}{more}"

"""The run-time type checker of the tests: beartype, reading `float` as PEP 484 does (an int will do)."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

__all__ = ["check"]

check = beartype(conf=BeartypeConf(is_pep484_tower=True))

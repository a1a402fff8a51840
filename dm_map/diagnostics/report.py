"""What the checks of a map say: a value, a pass mark and a sentence each, and the report of them all."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from astropy.table import Table

from dm_map.errors import DiagnosticError

__all__ = ["Diagnostic", "DiagnosticReport"]


@dataclass(frozen=True)
class Diagnostic:
    """One check. It passes at a p-value that is large enough, or at a value that is small enough.

    Attributes:
        name: Short name, the same in every report.
        value: What was measured, dimensionless; `measure` says of what.
        measure: The value in words.
        limit: Largest value that passes: for a p-value the level below which it fails.
        p_value: Probability of so large a deviation from sampling alone, where its law is known; then it is
            what is compared with the limit. None: the value is compared with the limit.
        passed: The verdict.
        sentence: The finding; where it failed also what that means and what to do.
    """

    name: str
    value: float
    measure: str
    limit: float
    p_value: float | None
    passed: bool
    sentence: str


@dataclass(frozen=True)
class DiagnosticReport:
    """All checks of one map.

    Attributes:
        diagnostics: The checks that were made.
        skipped: Name and reason of those that were not.
    """

    diagnostics: tuple[Diagnostic, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check that was made passed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Diagnostic, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.diagnostics if not check.passed)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.diagnostics)

    def __len__(self) -> int:
        return len(self.diagnostics)

    def __getitem__(self, name: str) -> Diagnostic:
        """The check of that name.

        Raises:
            DiagnosticError: it was not made; the message lists those that were, or why it was skipped.
        """
        for check in self.diagnostics:
            if check.name == name:
                return check
        reasons = dict(self.skipped)
        if name in reasons:
            raise DiagnosticError(f"the check {name!r} was skipped: {reasons[name]}")
        made = ", ".join(check.name for check in self.diagnostics)
        raise DiagnosticError(f"there is no check {name!r} in this report; it has: {made}")

    def to_table(self) -> Table:
        """One row per check, with what was skipped in the metadata; p is NaN where it has no known law."""
        columns = ("name", "passed", "value", "limit", "p_value", "measure", "sentence")
        rows = [asdict(check) for check in self.diagnostics]
        values = {
            column: [float("nan") if row[column] is None else row[column] for row in rows]
            for column in columns
        }
        return Table(values, names=columns, meta={"skipped": [list(pair) for pair in self.skipped]})

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON; `from_dict` gives the same report."""
        return {
            "passed": self.passed,
            "diagnostics": [asdict(check) for check in self.diagnostics],
            "skipped": [list(pair) for pair in self.skipped],
        }

    @classmethod
    def from_dict(cls, state: dict[str, object]) -> DiagnosticReport:
        """The report that `to_dict` described.

        Raises:
            DiagnosticError: the values are not those of a report.
        """
        try:
            checks = tuple(Diagnostic(**values) for values in state["diagnostics"])
            skipped = tuple((name, reason) for name, reason in state["skipped"])
        except (KeyError, TypeError, ValueError) as error:
            raise DiagnosticError(f"this is not a diagnostic report: {error}") from error
        return cls(checks, skipped)

    def __str__(self) -> str:
        width = max((len(check.name) for check in self.diagnostics), default=5)
        lines = [f"{'check':<{width}}  verdict    value    limit        p"]
        for check in self.diagnostics:
            p = "       -" if check.p_value is None else f"{check.p_value:8.2g}"
            verdict = "pass" if check.passed else "FAIL"
            lines.append(f"{check.name:<{width}}  {verdict:<7} {check.value:8.3g} {check.limit:8.2g} {p}")
        lines += [f"{name:<{width}}  skipped: {reason}" for name, reason in self.skipped]
        good = len(self) - len(self.failed)
        lines.append(f"{good} of {len(self)} checks passed.")
        for check in self.failed:
            lines.append(textwrap.fill(f"{check.name}: {check.sentence}", 110, subsequent_indent="  "))
        return "\n".join(lines)

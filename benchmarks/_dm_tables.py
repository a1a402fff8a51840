"""Tables of the dark-matter benchmarks, for README.md and docs/dark_matter.md."""

from __future__ import annotations

from _markdown import Record, false_alarm, made, table

__all__ = ["DARK_MATTER_TABLES"]


def _percent(value: float | None) -> str:
    """Two significant digits below ten per cent."""
    if value is None or value != value:
        return "-"
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def _stars(value: float) -> str:
    return f"{value:,.0f}"


def _accuracy(record: Record) -> str:
    columns = [
        "stars",
        "draws",
        "median of abs(da)/abs(a)",
        "worst draw",
        "rho in the plane",
        "rho at 1 to 2 kpc",
        "worst draw",
        "in 68 % interval",
        "CPU seconds",
        "GB",
    ]
    rows = [
        [
            _stars(row["stars"]),
            str(row["draws"]),
            _percent(row["median"]),
            _percent(row["worst_draw"]),
            _percent(row["rho_plane"]),
            _percent(row["rho_1_to_2_kpc"]),
            _percent(row["rho_1_to_2_kpc_worst"]),
            _percent(row["coverage"]),
            f"{row['cpu_seconds']:.0f}",
            f"{row['gigabytes']:.1f}",
        ]
        for row in record["rows"]
    ]
    slope = f"\n\nThe error falls as N^{record['slope']:.2f}." if "slope" in record else ""
    return table(columns, rows) + slope + made(record)


def _outside(record: Record) -> str:
    columns = ["mock", "free form", "stars", "draws", "median", "p90", "rho at 1 to 2 kpc", "equilibrium, p"]
    rows = [
        [
            row["mock"],
            {"True": "yes", "False": "no"}[row["free_form"]],
            _stars(row["stars"]),
            str(row["draws"]),
            _percent(row["median"]),
            _percent(row["p90"]),
            _percent(row["rho_1_to_2_kpc"]),
            "-" if row["p_value"] is None else false_alarm(row["p_value"]),
        ]
        for row in record["rows"]
    ]
    return table(columns, rows) + made(record)


def _limits(record: Record) -> str:
    columns = ["", "equations", "predicted", "found", "rho at 1 to 2 kpc", "CPU seconds"]
    rows = [
        [
            row["limit"],
            str(row.get("rows", "-")),
            _percent(row.get("predicted")),
            _percent(row.get("found")),
            _percent(row.get("rho_1_to_2_kpc")),
            f"{row['cpu_seconds']:.0f}" if row.get("cpu_seconds") else "-",
        ]
        for row in record["rows"]
    ]
    about = f"\n\n{_stars(record['stars'])} stars, {record['draws']} draws."
    return table(columns, rows) + about + made(record)


def _coverage(record: Record) -> str:
    columns = ["members", "interval", "abs(a)", "rho", "rho_DM", "+-"]
    rows = [
        [row["members"], row["interval"], *(f"{row[key]:.2f}" for key in ("|a|", "rho", "rho_DM", "+-"))]
        for row in record["rows"]
    ]
    about = (
        f"\n\nShare of 68 % intervals that hold the truth, {record['draws']} draws of "
        f"{_stars(record['stars'])} stars."
    )
    return table(columns, rows) + about + made(record)


def _equilibrium(record: Record) -> str:
    columns = ["mock", "stars", "draws", "flagged at 5 %", "median p", "worst test (most often)"]
    rows = [
        [
            row["mock"],
            _stars(row["stars"]),
            str(row["draws"]),
            _percent(row["flagged"]),
            false_alarm(row["median_p"]),
            row["worst_test"],
        ]
        for row in record["rows"]
    ]
    return table(columns, rows) + made(record)


def _errors(record: Record) -> str:
    columns = [key for key in record["rows"][0]]
    rows = [
        [f"{row[key]:.3g}" if isinstance(row[key], float) else str(row[key]) for key in columns]
        for row in record["rows"]
    ]
    about = f"\n\n{record['draws']} draws of {_stars(record['stars'])} stars."
    return table([column.replace("|", "") for column in columns], rows) + about + made(record)


def _accelerations(record: Record) -> str:
    columns = ["mock", "method", "stars", "median", "p90", "rho", "in 68 % interval", "floor", "CPU seconds"]
    rows = [
        [
            row["mock"],
            row["method"],
            _stars(row["stars"]),
            _percent(row["median"]),
            _percent(row["p90"]),
            _percent(row["rho_median"]),
            _percent(row["coverage"]),
            _percent(row["floor"]),
            f"{row['cpu_seconds']:.0f}",
        ]
        for row in record["rows"]
    ]
    return table(columns, rows) + made(record)


def _diagnostics(record: Record) -> str:
    columns = ["arm", "case", "stars", "as it should be", "what failed"]
    rows = [
        [row["arm"], row["case"], _stars(row["stars"]), row["right"], row["all_failed"]]
        for row in record["rows"]
    ]
    return table(columns, rows) + made(record)


#: Functions from a committed record to a table, by name of the record.
DARK_MATTER_TABLES = {
    "weak_form_accuracy": _accuracy,
    "weak_form_scale": _accuracy,
    "weak_form_outside": _outside,
    "weak_limits": _limits,
    "weak_coverage": _coverage,
    "weak_equilibrium": _equilibrium,
    "weak_errors": _errors,
    "accelerations": _accelerations,
    "dm_diagnostics": _diagnostics,
}

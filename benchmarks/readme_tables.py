"""Write the tables of README.md and docs/ from the committed results: no number there is typed by hand.

Each table stands between `<!-- name -->` and `<!-- end -->`. --check only says whether they are up to date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from _dm_tables import DARK_MATTER_TABLES
from _likelihood_more_tables import LIKELIHOOD_MORE_TABLES
from _likelihood_tables import LIKELIHOOD_TABLES
from _markdown import Record, made, table
from _search_tables import SEARCH_TABLES

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def _demo(record: Record) -> str:
    names = list(dict.fromkeys(row["stream"] for row in record["rows"]))
    rows = []
    for name in names:
        mine = [row for row in record["rows"] if row["stream"] == name]
        found = [row for row in mine if row["recovered"]]
        f1 = (
            f"{min(row['f1'] for row in found):.2f} to {max(row['f1'] for row in found):.2f}"
            if found
            else "-"
        )
        rows.append([name, str(mine[0]["stars"]), f"{len(found)} of {len(mine)}", f1])
    false = sum({row["seed"]: row["false_candidates"] for row in record["rows"]}.values())
    text = f"\n\nFalse candidates on all skies together: {false}."
    return table(["hidden stream", "stars", "recovered", "F1 of the members"], rows) + text + made(record)


def _speed(record: Record) -> str:
    rows = [
        [
            str(row["batch"]),
            f"{row['ours_kstars_s']:.0f}k",
            f"{row['zuko_kstars_s']:.0f}k",
            f"{row['ratio']:.2f}",
        ]
        for row in record["rows"]
    ]
    return table(["batch", "ours", "zuko's MAF", "ratio"], rows) + made(record)


def _positions(record: Record) -> str:
    rows = [
        [row["positions_in_score"], f"{row['best_real']:.1f}", f"{row['best_shuffled']:.1f}"]
        for row in record["rows"]
    ]
    indented = table(["positions in the score", "real strip (GD-1)", "shuffled strip (nothing)"], rows)
    return indented + made(record)


def _store(record: Record) -> str:
    names = {"ours": "this store", "lsdb": "lsdb", "pyarrow": "pyarrow, full scan"}
    rows = [
        [names[row["reader"]], f"{row['warm_s']:.3f}", f"{row['cold_s']:.2f}", f"{row['read_MB']:.0f}"]
        for row in record["rows"]
    ]
    text = (
        f"\n\nA store of {record['store_stars'] / 1e6:.0f} million mock stars in {record['partitions']} "
        f"partitions, a cone of 15 degrees with {record['patch_stars']:,} stars. Written at "
        f"{record['append_stars_s'] / 1e3:.0f} thousand stars/s, verified at "
        f"{record['verify_stars_s'] / 1e6:.1f} million/s."
    )
    return table(["reader", "seconds", "first time", "MB read"], rows) + text + made(record)


def _detectors(record: Record) -> str:
    settings = ("plain", "shifted", "noise")
    found = {(row["detector"], row["setting"]): row for row in record["rows"]}
    rows = []
    for name in dict.fromkeys(row["detector"] for row in record["rows"]):
        cells = []
        for setting in settings:
            row = found.get((name, setting))
            few = (
                ""
                if row is None or row["seeds"] == 10
                else f", {row['seeds']} seed{'s' * (row['seeds'] > 1)}"
            )
            cells.append(
                "-" if row is None
                else f"{row['max_sic']:.1f} ({row['max_sic_low']:.1f} to {row['max_sic_high']:.1f}{few})"
            )  # fmt: skip
        plain = found.get((name, "plain"))
        rows.append([name, *cells, "-" if plain is None else f"{plain['seconds']:.0f}"])
    columns = ["detector", "as they are", "shifted with m", "ten noise features", "seconds"]
    return table(columns, rows) + made(record)


def _fractions(record: Record) -> str:
    rows = [
        [
            str(row["features"]), f"{row['injected']:.1%}",
            f"{row['mean']:.2%}", f"{row['median_error']:.2%}",
            f"{row['within_1']:.0%}", f"{row['within_2']:.0%}", f"{row['oracle_within_1']:.0%}",
            f"{row['found']:.0%}",
        ]
        for row in record["rows"]
    ]  # fmt: skip
    columns = [
        "features", "injected", "mean found", "median error", "within 1 error", "within 2", "oracle within 1",
        "detected",
    ]  # fmt: skip
    return table(columns, rows) + f"\n\n{record['rows'][0]['draws']} draws each." + made(record)


def _bumps(record: Record) -> str:
    rows = [
        [
            row["experiment"], row["estimate"], str(row["count"]), _uniform(row["ks_p"]),
            f"{row['mean_z']:+.2f}", f"{row['std_z']:.2f}",
        ]
        for row in record["rows"]
    ]  # fmt: skip
    columns = ["scores", "p-value from", "experiments", "KS p", "mean of z", "width of z"]
    return table(columns, rows) + made(record)


def _uniform(p: float) -> str:
    if p < 1e-99:
        return "below 1e-99"
    return f"{p:.2f}" if p > 0.005 else f"{p:.0e}"


def _windows(record: Record) -> str:
    schemes = {
        "one_by_one_other_seed": "one by one, other seed",
        "comb": "comb",
        "warm_start": "warm start",
        "comb_and_warm_start": "comb and warm start",
        "all_stars_not_tuned": "flow of all stars, not tuned",
    }
    rows = []
    for scheme, name in schemes.items():
        ratios = [
            f"{record[f'{scheme}_at_{strength}_max_sic_ratio']:.2f} +- "
            f"{record[f'{scheme}_at_{strength}_ratio_error']:.2f}"
            for strength in (2, 15)
        ]
        fewer = record[f"{scheme}_at_15_fewer_passes"]
        rows.append([name, *ratios, "-" if fewer is None else f"{fewer:.1f}"])
    columns = ["scheme", "max SIC, faint stream", "max SIC, strong stream", "times fewer star-passes"]
    text = "\n\nRelative to one flow per window. S/sqrt(B) is 2 and 15."
    return table(columns, rows) + text + made(record)


TABLES: dict[str, Callable[[Record], str]] = {
    "demo_sky": _demo,
    "flow_speed": _speed,
    "positions_in_score": _positions,
    "store": _store,
    "detectors": _detectors,
    "fraction_coverage": _fractions,
    "bump_hunt": _bumps,
    "windows_together": _windows,
    **SEARCH_TABLES,
    **LIKELIHOOD_TABLES,
    **LIKELIHOOD_MORE_TABLES,
    **DARK_MATTER_TABLES,
}

DOCUMENTS: dict[str, tuple[str, ...]] = {
    "README.md": (
        "weak_form_accuracy",
        "gd1",
        "mock_sky",
        "likelihood",
        "demo_sky",
        "flow_speed",
        "positions_in_score",
        "store",
    ),
    "docs/streams.md": (
        "likelihood_null",
        "likelihood_gd1",
        "likelihood_gd1_shuffled",
        "likelihood_wrong_ridge",
        "likelihood_completeness",
        "likelihood_injection",
        "background_absorption",
        "likelihood_speed",
        "null_patches",
        "gd1_shuffled",
        "gd1_contrast",
        "blanco1",
        "injection",
        "line_finder",
    ),
    "docs/dark_matter.md": tuple(DARK_MATTER_TABLES),
    "docs/density.md": ("detectors", "fraction_coverage", "bump_hunt", "windows_together"),
}


def filled(text: str, names: Sequence[str]) -> str:
    """A document with each of its tables made anew from the results."""
    for name in names:
        table = TABLES[name](json.loads((RESULTS / f"{name}.json").read_text()))
        block = f"<!-- {name} -->\n{table}\n<!-- end -->"
        text, count = re.subn(
            rf"<!-- {name} -->\n.*?<!-- end -->", lambda _, block=block: block, text, flags=re.S
        )
        if count != 1:
            raise SystemExit(f"the document must hold the table {name!r} once; found {count}")
    return text


def main() -> None:
    """Fill the tables, or check them."""
    for document, names in DOCUMENTS.items():
        path = ROOT / document
        before = path.read_text()
        after = filled(before, names)
        if "--check" not in sys.argv:
            path.write_text(after)
        elif after != before:
            raise SystemExit(
                f"{document} is not up to date with benchmarks/results: run benchmarks/readme_tables.py"
            )
        else:
            print(f"{document} agrees with benchmarks/results")


if __name__ == "__main__":
    main()

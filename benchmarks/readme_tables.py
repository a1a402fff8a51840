"""Write the tables of README.md from the committed results, so that no number there is typed by hand.

Each table stands between `<!-- name -->` and `<!-- end -->`. --check only says whether they are up to date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from streams.significance import LEAST_PROBABILITY

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Record = dict[str, Any]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _made(record: Record) -> str:
    return f"\n\n({record['date']}, {record['cores']} cores, {record['device']}, seed {record['seed']})"


def _probability(value: float) -> str:
    """A false-alarm probability; the program quotes none below LEAST_PROBABILITY."""
    return f"below {value:.0e}" if value <= LEAST_PROBABILITY else f"{value:.0e}"


def _gd1(record: Record) -> str:
    anode = json.loads((RESULTS / "gd1_strip_anode.json").read_text())
    rows = []
    for result in (record, anode):
        real = result["rows"][0]
        nulls = [row["best_significance"] for row in result["rows"][1:]]
        rows.append(
            [
                result["detector"].upper(),
                str(result["rank"]),
                _probability(real["least_false_alarm"]),
                f"{result['purity']:.2f}",
                f"{result['completeness']:.2f}",
                f"{result['f1']:.2f}",
                str(result["false_candidates"]),
                f"{real['best_significance']:.1f}",
                f"{max(nulls):.1f}" if nulls else "-",
                f"{result['nulls_passing']} of {result['nulls']}",
                f"{result['seconds']:.0f}",
            ]
        )
    columns = [
        "detector",
        "rank of GD-1",
        "false-alarm probability",
        "purity",
        "completeness",
        "F1",
        "false candidates",
        "sigma",
        "best null sigma",
        "nulls that pass",
        "seconds",
    ]
    track = (
        f"\n\nMean offset of the members (CATHODE) from the tracks of Tavangar & Price-Whelan (2025): "
        f"phi2 {record['phi2_offset']:+.3f} deg, proper motions {record['pm1_offset']:+.2f} and "
        f"{record['pm2_offset']:+.2f} mas/yr."
    )
    return _table(columns, rows) + track + _made(record)


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
    return _table(["hidden stream", "stars", "recovered", "F1 of the members"], rows) + text + _made(record)


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
    return _table(["batch", "ours", "zuko's MAF", "ratio"], rows) + _made(record)


def _positions(record: Record) -> str:
    rows = [
        [row["positions_in_score"], f"{row['best_real']:.1f}", f"{row['best_shuffled']:.1f}"]
        for row in record["rows"]
    ]
    indented = _table(["positions in the score", "real strip (GD-1)", "shuffled strip (nothing)"], rows)
    return indented + _made(record)


TABLES: dict[str, Callable[[Record], str]] = {
    "gd1_strip": _gd1,
    "demo_sky": _demo,
    "flow_speed": _speed,
    "positions_in_score": _positions,
}


def filled(text: str) -> str:
    """README text with every table made anew from the results."""
    for name, make in TABLES.items():
        table = make(json.loads((RESULTS / f"{name}.json").read_text()))
        block = f"<!-- {name} -->\n{table}\n<!-- end -->"
        text, count = re.subn(
            rf"<!-- {name} -->\n.*?<!-- end -->", lambda _, block=block: block, text, flags=re.S
        )
        if count != 1:
            raise SystemExit(f"README.md must hold the table {name!r} once; found {count}")
    return text


def main() -> None:
    """Fill the tables, or check them."""
    readme = ROOT / "README.md"
    before = readme.read_text()
    after = filled(before)
    if "--check" in sys.argv:
        if after != before:
            raise SystemExit(
                "README.md is not up to date with benchmarks/results: run benchmarks/readme_tables.py"
            )
        print("README.md agrees with benchmarks/results")
        return
    readme.write_text(after)


if __name__ == "__main__":
    main()

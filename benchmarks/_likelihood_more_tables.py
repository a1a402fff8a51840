"""README tables of the likelihood search on real stars, of what its background absorbs, and of its cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _markdown import Record, false_alarm, made, table

__all__ = ["LIKELIHOOD_MORE_TABLES"]


def _gd1(record: Record) -> str:
    kinds = dict.fromkeys((row["search"], row["background"]) for row in record["rows"])
    rows = [_gd1_row([r for r in record["rows"] if (r["search"], r["background"]) == kind]) for kind in kinds]
    columns = [
        "search", "background", "rank", "sigma", "contrast", "best other / GD-1", "F1", "phi2 off, deg",
        "motions off: mean; largest, mas/yr", "largest, spline", "others passing",
    ]  # fmt: skip
    return table(columns, rows) + made(record)


def _gd1_row(rows: list[Record]) -> list[str]:
    """One search over one kind of background, all seeds."""
    worst = max(max(abs(row["pm1_worst"]), abs(row["pm2_worst"])) for row in rows)
    spline = max(max(abs(row["pm1_spline_worst"]), abs(row["pm2_spline_worst"])) for row in rows)
    mean = max((row[name] for row in rows for name in ("pm1_offset", "pm2_offset")), key=abs)
    return [
        rows[0]["search"], rows[0]["background"], _range(rows, "rank", ".0f"),
        _range(rows, "significance", ".1f"), _range(rows, "contrast", ".1f"), _range(rows, "ratio", ".2f"),
        _range(rows, "f1", ".2f"), f"{max(abs(row['phi2_worst']) for row in rows):.3f}",
        f"{mean:+.2f}; {worst:.2f}", f"{spline:.2f}", str(sum(row["others_passing"] for row in rows)),
    ]  # fmt: skip


def _range(rows: list[Record], name: str, form: str) -> str:
    low, high = (f"{end(row[name] for row in rows):{form}}" for end in (min, max))
    return low if low == high else f"{low} to {high}"


def _injection(record: Record) -> str:
    rows = []
    for asked in dict.fromkeys(str(row["asked"]) for row in record["rows"]):
        mine = [row for row in record["rows"] if str(row["asked"]) == asked]
        kept = sorted(row["kept"] for row in mine)
        f1 = [row["f1"] for row in mine if row["recovered"] and row["f1"] is not None]
        rows.append(
            [
                f"{kept[0]}" if kept[0] == kept[-1] else f"{kept[0]} to {kept[-1]}",
                f"{sum(row['recovered'] for row in mine)} of {len(mine)}",
                f"{np.median(f1):.2f}" if f1 else "-",
            ]
        )
    text = (
        f"\n\n{record['streams']} streams; {record['false_candidates']} false candidates on "
        f"{record['patches']} patches."
    )
    return table(["members kept", "recovered", "median F1"], rows) + text + made(record)


def _absorption(record: Record) -> str:
    rows = []
    for key in dict.fromkeys((row["stars"], row["place"]) for row in record["rows"]):
        mine = {row["background"]: row for row in record["rows"] if (row["stars"], row["place"]) == key}
        contrasts = [
            "-" if row["contrast"] is None else f"{row['contrast']:.1f}"
            for row in (mine[name] for name in ("without", "with", "relearned"))
        ]
        rows.append([str(key[0]), str(key[1]), *contrasts])
    columns = ["stars", "place", "learned without the stream", "with it", "again, candidates left out"]
    return table(columns, rows) + made(record)


def _speed(record: Record) -> str:
    rows = [
        [
            f"{row['stars']:,}", f"{row['background_seconds']:.0f}", f"{row['search_seconds']:.0f}",
            f"{row['seconds']:.0f}", f"{row['cpu_seconds']:.0f}", f"{row['peak_gb']:.1f}",
        ]
        for row in record["rows"]
    ]  # fmt: skip
    columns = ["stars", "background, s", "search, s", "together, s", "CPU, s", "peak memory, GB"]
    return table(columns, rows) + made(record)


def _shuffled(record: Record) -> str:
    rows = [
        [
            str(row["shuffle"]),
            f"{row['significance']:.1f}",
            f"{row['contrast']:.1f}",
            false_alarm(row["false_alarm_probability"]),
        ]
        for row in record["rows"]
        if row["search"] == "default"
    ]
    return table(["shuffled strip", "best sigma", "best contrast", "false-alarm probability"], rows) + made(
        record
    )


LIKELIHOOD_MORE_TABLES: dict[str, Callable[[Record], str]] = {
    "likelihood_gd1": _gd1,
    "likelihood_gd1_shuffled": _shuffled,
    "likelihood_injection": _injection,
    "background_absorption": _absorption,
    "likelihood_speed": _speed,
}

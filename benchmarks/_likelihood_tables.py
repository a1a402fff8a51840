"""README tables of the likelihood search on mock patches: power, chance, completeness, wrong ridges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from _markdown import Record, false_alarm, made, table

__all__ = ["LIKELIHOOD_TABLES"]

_RIDGES = {"true": "right ridge", "wrong": "one step wrong", "all": "three ridges"}


def _likelihood(record: Record) -> str:
    mine = [row for row in record["rows"] if row["method"] == "likelihood"]
    names = [name for name in _RIDGES if any(row["ridge"] == name for row in mine)]
    few = min(row["stars"] for row in mine)
    rows = [
        [
            place, *(_half(record, f"{place}, {name}", few) for name in names), _ideal(record, place, few),
            *(_f1(record["rows"], place, method) for method in ("likelihood", "ideal")),
            _pair(record, "ratio", place, ".2f"),
            f"{_median(row['best_false'] for row in mine if row['place'] == place):.1f}",
        ]
        for place in dict.fromkeys(row["place"] for row in mine)
    ]  # fmt: skip
    columns = [
        "density of the field", *(f"half found, {_RIDGES[name]}" for name in names),
        "half found, stream known", "F1 of the richest", "F1, stream known",
        "wrong over right", "best false contrast",
    ]  # fmt: skip
    text = "".join(f"\n\n{_sentence(record, name)}" for name in names)
    return table(columns, rows) + text + "\n\n" + _methods(record) + made(record)


def _ideal(record: Record, place: str, few: int) -> str:
    """The idealised detector's half point."""
    key = f"ideal, half: {place}, true"
    value = record.get(key)
    if key not in record:
        return "-"
    if value is None:
        return "more than were tried"
    return f"{few} or fewer" if value <= few else f"{value:.0f}"


def _f1(rows: Sequence[Record], place: str, method: str) -> str:
    """Median F1 of the members of the richest streams, right ridge."""
    mine = [row for row in rows if (row["place"], row["method"], row["ridge"]) == (place, method, "true")]
    most = max((row["stars"] for row in mine), default=0)
    found = [row["f1"] or 0.0 for row in mine if row["stars"] == most and "f1" in row]
    return f"{_median(found):.2f}" if found else "-"


def _sentence(record: Record, name: str) -> str:
    f1 = next((value for key, value in record.items() if _is_f1(key, name)), None)
    told = "" if f1 is None else f" Median F1 of the members of the richest streams: {f1:.2f}."
    return (
        f"{_RIDGES[name].capitalize()}: {record[f'false candidates: {name}']} false candidates on "
        f"{record[f'patches: {name}']} patches.{told}"
    )


def _is_f1(key: str, name: str) -> bool:
    return key.startswith("median f1") and key.endswith(f": {name}")


def _half(record: Record, key: str, few: int) -> str:
    value = record[f"half: {key}"]
    if value is None:
        return "more than were tried"
    return f"{few} or fewer" if value <= few else _pair(record, "half", key, ".0f")


def _pair(record: Record, figure: str, key: str, form: str) -> str:
    value, error = record.get(f"{figure}: {key}"), record.get(f"{figure} error: {key}")
    if value is None:
        return "-"
    return format(value, form) + ("" if error is None else f" +- {error:{form}}")


def _methods(record: Record) -> str:
    """Every method at the numbers of stars at which the detectors were tried."""
    searches = [row for row in record["rows"] if row["method"] != "ideal"]
    tried = sorted({row["stars"] for row in searches if row["method"] != "likelihood"})
    rows = []
    for name in dict.fromkeys((row["method"], row["ridge"]) for row in searches):
        for stars in tried:
            mine = [row for row in searches if (row["method"], row["ridge"], row["stars"]) == (*name, stars)]
            if mine:
                rows.append([_name(name), str(stars), *_counts(mine)])
    columns = ["search", "stars", "detected", "median F1", "max SIC", "seconds"]
    return table(columns, rows) if rows else ""


def _name(pair: tuple[str, str]) -> str:
    return pair[0] if pair[1] == "-" else f"{pair[0]}, {_RIDGES[pair[1]]}"


def _counts(rows: Sequence[Record]) -> list[str]:
    sic = [row["max_sic"] for row in rows if row["max_sic"] is not None]
    return [
        f"{sum(row['detected'] for row in rows)} of {len(rows)}",
        f"{_median(row['f1'] or 0.0 for row in rows):.2f}",
        f"{np.median(sic):.1f}" if sic else "-",
        f"{_median(row['seconds'] for row in rows):.0f}",
    ]


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def _null(record: Record) -> str:
    kinds = {"": "both", "mock_": "mock Galaxy", "flow_": "drawn from a learned background"}
    rows = [
        [
            name, str(record[f"{key}patches"]), f"{record[f'{key}ks_p']:.2g}", str(record[f"{key}fired"]),
            str(record[f"{key}rare"]), false_alarm(record[f"{key}least"]),
        ]
        for key, name in kinds.items()
        if f"{key}patches" in record
    ]  # fmt: skip
    uncorrected = record["uncorrected_ks_p"]
    told = f"{uncorrected:.0e}" if uncorrected > 0 else "below 1e-300"
    text = f"\n\nWithout the look-elsewhere effect KS p would be {told}."
    columns = ["patches without streams", "number", "KS p", "below 0.05", "below 0.001", "least of all"]
    return table(columns, rows) + text + made(record)


def _completeness(record: Record) -> str:
    cells = {(row["width"], row["distance"]): row for row in record["rows"]}
    distances = sorted({row["distance"] for row in record["rows"]})
    rows = [
        [f"{width:g}", *(_cell(cells.get((width, distance))) for distance in distances)]
        for width in sorted({row["width"] for row in record["rows"]})
    ]
    columns = ["width, deg", *(f"{distance:g} kpc" for distance in distances)]
    text = f"\n\n{record['false_candidates']} false candidates on {record['patches']} patches."
    return table(columns, rows) + text + made(record)


def _cell(row: Record | None) -> str:
    if row is None:
        return "-"
    if row["bound"]:
        return f"{row['bound']}{' than' if row['bound'] == 'more' else ''} {row['half']:.0f}"
    return f"{row['half']:.0f}" + ("" if row["half_error"] is None else f" +- {row['half_error']:.0f}")


def _wrong_ridge(record: Record) -> str:
    names = sorted({row["metallicity"] for row in record["rows"]})
    wrong = [name for name in names if f"ratio: peak, {name:g}" in record]
    rows = [
        [place, *(f"{record[f'ratio: {place}, {name:g}']:.2f}" for name in wrong)]
        for place in dict.fromkeys(row["place"] for row in record["rows"])
    ]
    columns = ["density of the field", *(f"ridge of [Fe/H] = {name:g}" for name in wrong)]
    return table(columns, rows) + made(record)


LIKELIHOOD_TABLES: dict[str, Callable[[Record], str]] = {
    "likelihood": _likelihood,
    "likelihood_null": _null,
    "likelihood_completeness": _completeness,
    "likelihood_wrong_ridge": _wrong_ridge,
}

"""README tables of the blind benchmarks of the search: gd1.py and mock_sky.py."""

from __future__ import annotations

from collections.abc import Callable

from _markdown import Record, false_alarm, made, table

__all__ = ["SEARCH_TABLES"]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _gd1(record: Record) -> str:
    rows = [
        [
            row["detector"], "yes" if row["recovered"] else "no", false_alarm(row["false_alarm_probability"]),
            _number(row["significance"], ".1f"), f"{row['contrast']:.1f}", f"{row['purity']:.2f}",
            f"{row['completeness']:.2f}", f"{row['f1']:.2f}", f"{row['average_precision']:.2f}",
            _number(row["score_average_precision"], ".2f"), _number(row["max_sic"], ".1f"),
            _number(row.get("phi2_offset"), "+.3f"), str(row["false_candidates"]), f"{row['seconds']:.0f}",
        ]
        for row in record["rows"]
    ]  # fmt: skip
    columns = [
        "detector", "found", "false-alarm probability", "sigma", "raw contrast", "purity", "completeness",
        "F1", "AP of the members", "AP of the score", "max SIC", "phi2 offset, deg", "false candidates",
        "seconds",
    ]  # fmt: skip
    return table(columns, rows) + made(record)


def _shuffled(record: Record) -> str:
    rows = []
    for name in dict.fromkeys(row["detector"] for row in record["rows"]):
        mine = [row for row in record["rows"] if row["detector"] == name]
        chances = [row["false_alarm_probability"] for row in mine]
        passing = sum(row["passing"] > 0 for row in mine)
        best = max(row["significance"] for row in mine)
        rows.append(
            [name, str(len(mine)), f"{best:.1f}", f"{min(chances):.2g} to {max(chances):.2g}", str(passing)]
        )
    columns = ["detector", "shuffled strips", "best sigma", "false-alarm probabilities", "that pass"]
    return table(columns, rows) + made(record)


def _contrast(record: Record) -> str:
    rows = [
        [
            row["region"], f"({row['pm_phi1_cosphi2']:+.1f}, {row['pm_phi2']:+.1f})",
            f"{row['raw_contrast_with_positions']:.1f}", f"{row['raw_contrast']:.1f}",
            f"{row['significance']:.1f}", false_alarm(row["false_alarm_probability"]),
        ]
        for row in record["rows"]
    ]  # fmt: skip
    columns = [
        "region holds", "proper motion, mas/yr", "raw contrast, score sees positions",
        "raw contrast, score blind", "sigma, blind", "false-alarm probability",
    ]  # fmt: skip
    return table(columns, rows) + made(record)


def _mock_sky(record: Record) -> str:
    streams = {(row["detector"], row["stream"]): row for row in record["rows"]}
    names = list(dict.fromkeys(row["stream"] for row in record["rows"]))
    rows = []
    for detector in dict.fromkeys(row["detector"] for row in record["rows"]):
        mine = [streams[detector, name] for name in names]
        rows.append(
            [
                detector,
                *(_found(row) for row in mine),
                *(str(mine[0][key]) for key in ("duplicates", "false_candidates")),
                "yes" if record[f"{detector}_true_first"] else "no",
                f"{mine[0]['seconds']:.0f}",
            ]
        )
    stars = {row["stream"]: row["stars"] for row in record["rows"]}
    columns = [
        "detector", *(f"{name}, {stars[name]:,} stars" for name in names), "reported again",
        "false candidates", "true ones first", "seconds",
    ]  # fmt: skip
    text = (
        "\n\nF1 of the members, largest SIC of the score, false-alarm probability. "
        f"{record['sky_stars']:,} stars; the background is {record['thinning']:.3f} of the Galaxy's."
    )
    return table(columns, rows) + text + made(record)


def _found(row: Record) -> str:
    sic = _number(row["max_sic"], ".1f")
    if not row["recovered"]:
        return f"missed (SIC {sic})"
    return f"F1 {row['f1']:.2f}, SIC {sic}, {false_alarm(row['false_alarm_probability'])}"


def _null_patches(record: Record) -> str:
    rows = [
        [
            str(record["patches"]), str(record["rows"][0]["detector"]),
            f"{min(row['b'] for row in record['rows']):.0f} to {max(row['b'] for row in record['rows']):.0f}",
            f"{record['ks_p']:.2g}", str(record["fired"]), false_alarm(record["least"]),
        ]
    ]  # fmt: skip
    columns = ["patches", "detector", "Galactic latitude", "KS p", "below 0.05", "least of all"]
    return table(columns, rows) + made(record)


def _blanco1(record: Record) -> str:
    rows = [
        [
            row["members"], str(row["stars"]), f"{row['completeness']:.2f}", f"{row['purity']:.2f}",
            f"{row['f1']:.2f}",
        ]
        for row in record["rows"]
        if "members" in row
    ]  # fmt: skip
    columns = ["members", "stars", "completeness", "purity", "F1"]
    text = (
        f"\n\nIt is over-density number {record['rank']}, false-alarm probability "
        f"{false_alarm(record['false_alarm_probability'])}, half-number radius "
        f"{record['half_number_radius']:.0f} +- {record['half_number_radius_error']:.0f} arcmin, parallax "
        f"{record['parallax']:.2f} mas; {record['false_candidates']} false ones pass, and "
        f"{record['nulls_passing']} of {record['nulls']} fields with shuffled positions have one that does. "
        f"{record['seconds']:.0f} s."
    )
    return table(columns, rows) + text + made(record)


def _injection(record: Record) -> str:
    what = {
        "mock": "model, mock sky",
        "real": "real members, real field",
        "control": "scattered stars, mock sky",
    }
    rows = [
        [
            what[row["part"]], row["streams"], f"{row['stars']:.0f}",
            f"{row['recovered']} of {row['trials']}",
            f"{row['fraction_low']:.2f} to {row['fraction_high']:.2f}",
            "-" if row["f1"] != row["f1"] else f"{row['f1']:.2f}",
            "-" if row["track_bias"] != row["track_bias"] else f"{row['track_bias']:+.3f}",
            f"{row['surface_brightness']:.1f}" if row["part"] == "mock" else "-",
            str(row["false_candidates"]),
        ]
        for row in record["rows"]
    ]  # fmt: skip
    columns = [
        "injected", "streams", "stars", "recovered", "68 % interval", "F1", "track bias, deg",
        "G mag/arcsec2", "false candidates",
    ]  # fmt: skip
    limits = [
        f"{key.removesuffix(': half').removeprefix('mock: ')}: "
        + (f"{record[key.removesuffix('half') + 'stars']:.0f} stars" if value == "yes" else str(value))
        for key, value in record.items()
        if str(key).startswith("mock: ") and str(key).endswith(": half")
    ]
    return (
        table(columns, rows)
        + f"\n\nHalf of the model streams are found at: {'; '.join(limits)}."
        + made(record)
    )


def _line_finder(record: Record) -> str:
    rows = [
        [
            str(row["ranks"]), str(row["regions"]), f"{row['search_s_per_1000']:.1f}",
            f"{row['null_sky_s_per_1000']:.2f}", f"{row['refine_ms']:.0f}",
        ]
        for row in record["rows"]
    ]  # fmt: skip
    columns = [
        "stars of a region", "regions", "search, s per 1000 regions", "null sky, s per 1000 regions",
        "refinement of a line, ms",
    ]  # fmt: skip
    return table(columns, rows) + made(record)


SEARCH_TABLES: dict[str, Callable[[Record], str]] = {
    "gd1": _gd1,
    "gd1_shuffled": _shuffled,
    "gd1_contrast": _contrast,
    "mock_sky": _mock_sky,
    "null_patches": _null_patches,
    "blanco1": _blanco1,
    "injection": _injection,
    "line_finder": _line_finder,
}

"""Why a candidate is what it is: the log of every merge, kept with the run and told in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from streams import JoinedStream, JoinRecord, MergeDecision, ProtostreamLog, StreamCatalog, explain
from streams.errors import StreamsError
from via_machinae.errors import RunError
from via_machinae.run import Run, write_json

if TYPE_CHECKING:
    from via_machinae.cataloguing.findings import Findings

__all__ = ["explain_candidate", "forget_merging", "write_merging"]

_FILE = "merging.json"


def write_merging(
    run: Run,
    catalog: StreamCatalog,
    labels: list[str],
    streams: list[JoinedStream],
    decisions: list[MergeDecision],
    findings: Findings,
) -> None:
    """Keep what was joined and what was not, and why, beside the catalogue.

    Args:
        run: the run.
        catalog: its catalogue.
        labels: for each of its candidates the label of its best part.
        streams: all joined candidates.
        decisions: on every pair that was compared.
        findings: what each patch holds.
    """
    by_label = {stream.record.best: stream.record for stream in streams}
    values: dict[str, Any] = {
        "config_hash": catalog.provenance["config_hash"],
        "candidates": {
            str(name): by_label[label].to_dict()
            for name, label in zip(catalog.candidates["name"], labels, strict=True)
        },
        "decisions": [decision.to_dict() for decision in decisions],
        "logs": {
            patch.label(number): log.to_dict()
            for patch in findings.anomaly.values()
            for number, log in enumerate(patch.logs)
        },
        "told": {
            patch.label(number): list(lines)
            for patch in findings.likelihood.values()
            for number, lines in enumerate(patch.told)
        },
    }
    write_json(run.path / "catalog" / _FILE, values)


def forget_merging(run: Run) -> None:
    """Remove the log of an earlier catalogue."""
    (run.path / "catalog" / _FILE).unlink(missing_ok=True)


def explain_candidate(run: Run, name: str) -> str:
    """The history of a candidate in plain lines: regions, protostreams, patches, with every number.

    Raises:
        RunError: there is no log, it is damaged, or no candidate has that name.
    """
    path = run.path / "catalog" / _FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        names = list(values["candidates"])
        if name not in names:
            held = ", ".join(names) or "no candidate"
            raise RunError(f"no candidate {name!r} in {run.path}; it holds {held}")
        record = JoinRecord.from_dict(values["candidates"][name])
        decisions = [MergeDecision.from_dict(decision) for decision in values["decisions"]]
        logs = {label: ProtostreamLog.from_dict(log) for label, log in dict(values["logs"]).items()}
        return explain(record, decisions, logs, dict(values["told"]))
    except (OSError, ValueError, LookupError, TypeError, StreamsError) as error:
        raise RunError(
            f"{path} cannot be read ({error}): make the catalogue anew with "
            f"'via-machinae catalog --run {run.path}'"
        ) from error

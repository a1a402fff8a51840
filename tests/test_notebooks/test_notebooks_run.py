"""The notebooks run from top to bottom, and what they show is what their prose says."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

# Run after the last cell of each notebook, in its own names. A notebook without claims is a mistake.
CLAIMS = {
    "find_a_stream": """
        assert candidates[0].false_alarm_probability < 0.01
        assert found.purity > 0.75 and found.completeness > 0.75
        assert not any(candidate.false_alarm_probability < 0.01 for candidate in false_alarms)
        assert not about.distance.open and low < ariadne.distance_kpc < high
        assert about.flags == ("leaves_patch",) and 0.1 < about.extent.width < 0.4
        assert best_one.record.significance == candidates[0].line.significance
        assert spots[0].elongated and not any(spot.passes(0.01) for spot in spots)
    """,
    "dark_matter_map": """
        assert np.median(errors) < 0.1 and errors.max() < 0.2
        high = heights >= 1.0
        assert np.all(np.abs(dark.value - true_dark)[high] < 0.6 * true_dark[high])
        assert np.all((dark.error > 0)[high] & (dark.error < 0.5 * true_dark)[high])
        assert dark.error[0] > 3 * dark.error[high].max()  # in the plane it cannot be told
        assert relaxed_check.passed and not kicked_check.passed and kicked_check.p_value < 1e-6
        assert abs(farthest["fitted"] - farthest["true"]) < 0.8
        medians = {name: np.median(one) for name, one in flow_errors.items()}
        assert medians["flows, one potential"] < 0.35
        assert medians["flows, one potential"] < medians["flows, position by position"]
        assert real.covariance.shape == (len(real), 6, 6) and len(real) > 4_000
        assert {"radial_velocity is missing", "parallax is not positive"} <= set(account.dropped)
    """,
    "density_alone": """
        assert abs(ratio.mean() - 1.0) < 0.01 < abs(forgotten.mean() - 1.0)
        assert np.mean(log_q - log_p) < 0.03
        improvement = {}
        for name, score in scores.items():
            eps_s, eps_b = efficiencies(score[inside], is_signal[inside])
            improvement[name] = np.max(eps_s / np.sqrt(eps_b))
        assert min(improvement["Cathode"], improvement["Anode"]) > 3.0
        assert all((score > 1).sum() < 10 < (scores[name][inside] > 1).sum() for name, score in null.items())
    """,
}


def _committed() -> list[Path]:
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def test_every_notebook_has_claims() -> None:
    assert {path.stem for path in _committed()} == set(CLAIMS)


@pytest.mark.parametrize("path", _committed(), ids=lambda path: path.stem)
def test_notebook_is_committed_clean(path: Path) -> None:
    """No outputs to go stale, and no tag by which a cell could be skipped or allowed to fail."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.metadata.get("tags"), f"{path.name} has a tagged cell: {cell.source[:60]!r}"
        if cell.cell_type == "code":
            assert cell.execution_count is None and not cell.outputs, f"{path.name}: clear its outputs"


@pytest.mark.parametrize("path", _committed(), ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs in an empty directory, figures are drawn, and the claims hold."""
    # The kernel chooses its own backend: under Agg, which the tests use, it would draw nothing.
    monkeypatch.delenv("MPLBACKEND", raising=False)
    search = [str(NOTEBOOKS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(search))
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    lines = [line.removeprefix(" " * 8) for line in CLAIMS[path.stem].splitlines()]
    notebook.cells.append(nbformat.v4.new_code_cell("\n".join(lines)))

    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()

    assert all(cell.execution_count is not None for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not list(tmp_path.iterdir()), "a notebook leaves nothing behind"
